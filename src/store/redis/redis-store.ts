// The store on Redis: groups calls, sends each group as one pipeline, and keeps trying until a call's time is over.
//
// Writes go out one flush after the other, each in one round trip. A read starts when the writes called before it are done,
// on a connection of its own, so that a large page holds up no publisher. When the connection breaks or Redis cannot answer for
// a moment, what was under way is kept and nothing more is sent; a probe looks every quarter of a second whether it works
// again, and then all goes out once more. Every write can be repeated without harm.

import { setTimeout as wait } from "node:timers/promises";
import { toB62 } from "../../mqtt/base62.ts";
import type { Message } from "../../mqtt/message.ts";
import type { MessageId } from "../../mqtt/message-id.ts";
import { messageBytes } from "../../mqtt/message-size.ts";
import type { Subscription } from "../../mqtt/subscription.ts";
import { MAX_TOPIC_BYTES } from "../../mqtt/topic.ts";
import { CALL_LIMITS, type Call, type CallCost, CallQueue, monotonicTime } from "../call-queue.ts";
import { type StoreError, StoreInvalidError, StoreTooLargeError, StoreUnavailableError } from "../errors.ts";
import { inChunks } from "../in-chunks.ts";
import { ReadRunner } from "../read-runner.ts";
import { SavedIds } from "../saved-ids.ts";
import type {
  MessageKey,
  PacketIdOfMessage,
  Page,
  PageRequest,
  Store,
  StoreEvents,
  StoreHealth,
  StoreTotals,
  TopicSummary,
  TopicsRequest,
} from "../store.ts";
import type { IndexEntry, RedisContext } from "./context.ts";
import { EarlyDeaths } from "./early-deaths.ts";
import { FirstLook } from "./first-look.ts";
import { HealthWatch } from "./health-watch.ts";
import { RedisKeys, readsAsMessageId } from "./keys.ts";
import { ExpirySweep } from "./operations/expire.ts";
import { findLast } from "./operations/find-last.ts";
import { countAll, listTopics } from "./operations/list-topics.ts";
import { purge } from "./operations/purge.ts";
import { PayloadSizes } from "./operations/read-messages.ts";
import { PageReader } from "./operations/read-page.ts";
import { deathOf } from "./operations/save-messages.ts";
import { listSubscriptions } from "./operations/subscriptions.ts";
import { DEFAULT_BATCH_SIZE, type RedisStoreOptions } from "./options.ts";
import { problemOf } from "./problem.ts";
import { ScoreClock } from "./score-clock.ts";
import { RedisServers } from "./servers.ts";
import { KeyTakenError, keysOf, SameIdError, type WriteRequest, writeFlush } from "./write-flush.ts";

/** Redis's own limit for one value (`proto-max-bulk-len`). */
const MAX_PAYLOAD_BYTES = 512 * 1024 * 1024;
/** An entry without a hash that is older than so many timeouts was not just being written. */
const ORPHAN_TIMEOUTS = 2;
/** Entries to remove that may wait; readers find those beyond again. */
const MAX_ORPHANS = 10_000;

/** Keys of calls that failed which a probe asks for. */
const SUSPECT_KEYS = 64;

/** Reads, and what takes several round trips. */
interface ReadRequest {
  readonly kind: "read";
  readonly run: (reads: RedisContext) => Promise<unknown>;
}
type Request = WriteRequest | ReadRequest;
type StoreCall = Call<Request>;

const NO_EVENTS: StoreEvents = {};
const READ: CallCost = { write: false, weight: 1, bytes: 0 };

export class RedisStore implements Store {
  readonly #options: RedisStoreOptions;
  readonly #queue: CallQueue<Request>;
  readonly #servers: RedisServers;
  readonly #writes: RedisContext;
  readonly #reads: RedisContext;
  readonly #scores = new ScoreClock();
  readonly #savedIds = new SavedIds();
  readonly #deaths = new EarlyDeaths();
  readonly #sizes = new PayloadSizes();
  readonly #pages: PageReader;
  readonly #expiry: ExpirySweep;
  readonly #watch: HealthWatch;
  readonly #firstLook: FirstLook;
  #events = NO_EVENTS;
  #stopped: string | undefined = "The store is not started.";
  readonly #running: ReadRunner;
  #underWay: readonly WriteRequest[] = [];
  #orphans = 0;

  constructor(options: RedisStoreOptions) {
    this.#options = options;
    this.#servers = new RedisServers(options, {
      ready: () => void this.#watch.probe(),
      broken: () => this.#watch.lookSoon(),
    });
    const shared = {
      keys: new RedisKeys(options),
      messageTtl: options.messageTtl,
      orphanAge: options.timeout * ORPHAN_TIMEOUTS,
      isCluster: options.mode === "cluster",
    };
    this.#writes = { ...shared, send: this.#servers.write };
    this.#reads = { ...shared, send: this.#servers.read };
    this.#pages = new PageReader(this.#reads, this.#sizes, (orphans) => this.#sweep(orphans));
    this.#expiry = new ExpirySweep(this.#reads, this.#deaths);
    this.#watch = new HealthWatch(this.#servers, {
      changed: (health) => this.#events.healthChanged?.(health),
      works: () => this.#works(),
    });
    this.#running = new ReadRunner({
      resolve: (call, value) => this.#queue.resolve(call as StoreCall, value),
      reject: (call, error) => this.#queue.reject(call as StoreCall, error),
      failed: (error) => this.#readFailed(error),
      timeoutError: () => this.#timeoutError(false),
    });
    this.#firstLook = new FirstLook(this.#servers, this.#reads, options.logger);
    this.#queue = new CallQueue<Request>({
      ...CALL_LIMITS,
      timeout: options.timeout,
      batchSize: options.batchSize ?? DEFAULT_BATCH_SIZE,
      flush: (batch) => void this.#flush(batch),
      timeoutError: (underWay) => this.#timeoutError(underWay),
      fullError: () =>
        new StoreUnavailableError("More calls wait for Redis than memory is set aside for: publish more slowly."),
    });
  }

  async start(events: StoreEvents): Promise<void> {
    this.#events = events;
    this.#stopped = undefined;
    this.#queue.pause();
    const { timeout } = this.#options;
    const deadline = monotonicTime() + timeout;
    await withinTime(this.#servers.attempted(), timeout);
    const answered = await withinTime(this.#watch.probe(), deadline - monotonicTime());
    if (!answered) this.#watch.note(this.#timeoutError(false));
    if (this.#watch.health.status === "ok") await withinTime(this.#firstLook.look(), timeout);
  }

  async stop(): Promise<void> {
    if (this.#stopped !== undefined) return;
    this.#stopped = "The store is stopped.";
    this.#firstLook.stop();
    await this.#queue.idle();
    this.#watch.stop();
    this.#servers.close();
    this.#events = NO_EVENTS;
  }

  health(): StoreHealth {
    if (this.#stopped === undefined) return this.#watch.health;
    return { status: "error", error: new StoreUnavailableError(this.#stopped) };
  }

  async checkHealth(): Promise<StoreHealth> {
    if (this.#stopped === undefined) {
      const answered = await withinTime(this.#watch.probe(), this.#options.timeout);
      if (!answered) this.#watch.note(this.#timeoutError(false));
    }
    return this.health();
  }

  async saveMessage(message: Message): Promise<void> {
    const { topic, payload, id } = message;
    if (payload.length > MAX_PAYLOAD_BYTES) {
      throw new StoreTooLargeError(`Redis has no room for a payload of ${payload.length} bytes: send a smaller one.`);
    }
    if (Buffer.byteLength(topic) > MAX_TOPIC_BYTES) {
      throw new StoreInvalidError(`The topic takes more than ${MAX_TOPIC_BYTES} bytes: publish to a shorter one.`);
    }
    if (readsAsMessageId(topic)) {
      throw new StoreInvalidError(
        `The topic ${topic} reads like the id of a message in Redis: publish to another one.`,
      );
    }
    const score = this.#scores.next();
    const request: WriteRequest = { kind: "saveMessage", message, id62: toB62(id), score };
    await this.#call(request, { write: true, weight: 1, bytes: messageBytes(message) });
    this.#sizes.written(payload.length);
    const { messageTtl, timeout } = this.#options;
    const death = deathOf(message, messageTtl);
    // What waited for a moment before it was stored dies with its entry.
    if (death < deathOf({ ...message, timestamp: score, expiresAt: undefined }, messageTtl) - timeout) {
      this.#deaths.add({ at: death, id62: request.id62, topic });
    }
  }

  readPage(request: PageRequest): Promise<Page> {
    return this.#read(() => this.#pages.read(request)) as Promise<Page>;
  }

  async deleteMessages(keys: readonly MessageKey[]): Promise<void> {
    await inChunks(keys, (chunk) => {
      const entries = chunk.map(({ id, topic }) => ({ id62: toB62(id), topic }));
      return this.#write({ kind: "deleteMessages", entries }, entries.length);
    });
  }

  async saveSubscription(subscription: Subscription): Promise<void> {
    await this.#write({ kind: "saveSubscription", subscription });
  }

  async deleteSubscription(clientId: string, topicFilter: string): Promise<void> {
    await this.#write({ kind: "deleteSubscription", clientId, topicFilter });
  }

  listSubscriptions(clientId: string): Promise<Subscription[]> {
    return this.#read((reads) => listSubscriptions(reads, clientId)) as Promise<Subscription[]>;
  }

  /** The original's format has no room for when a client was seen. */
  async touchSubscriptions(): Promise<void> {
    if (this.#stopped !== undefined) throw new StoreUnavailableError(this.#stopped);
  }

  async listStaleClients(): Promise<string[]> {
    if (this.#stopped !== undefined) throw new StoreUnavailableError(this.#stopped);
    return [];
  }

  /** The original's format has no room for Packet Identifiers. */
  async listPacketIds(): Promise<PacketIdOfMessage[]> {
    if (this.#stopped !== undefined) throw new StoreUnavailableError(this.#stopped);
    return [];
  }

  listTopics(request: TopicsRequest): Promise<TopicSummary[]> {
    return this.#read((reads) => listTopics(reads, this.#sizes, request)) as Promise<TopicSummary[]>;
  }

  totals(): Promise<StoreTotals> {
    return this.#read((reads) => countAll(reads, this.#sizes)) as Promise<StoreTotals>;
  }

  /** Scores go on above those stored as well: after a restart the clock may be behind them. */
  lastMessageId(): Promise<MessageId | undefined> {
    return this.#read(async (reads) => {
      const { id, score } = await findLast(reads);
      if (score !== undefined) this.#scores.advancePast(score);
      return id;
    }) as Promise<MessageId | undefined>;
  }

  purge(topicFilter: string, limit: number): Promise<number> {
    return this.#read((reads) => purge(reads, topicFilter, limit)) as Promise<number>;
  }

  expire(now: number, limit: number): Promise<number> {
    return this.#read(() => this.#expiry.expire(now, limit)) as Promise<number>;
  }

  #read(run: ReadRequest["run"]): Promise<unknown> {
    return this.#call({ kind: "read", run }, READ);
  }

  #write(request: WriteRequest, weight = 1): Promise<unknown> {
    return this.#call(request, { write: true, weight, bytes: 0 });
  }

  #call(request: Request, cost: CallCost): Promise<unknown> {
    if (this.#stopped !== undefined) return Promise.reject(new StoreUnavailableError(this.#stopped));
    return this.#queue.add(request, cost);
  }

  /** Removes entries that have lost their hashes. Readers find again what is not removed now. */
  #sweep(entries: readonly IndexEntry[]): void {
    if (this.#stopped !== undefined || this.#orphans + entries.length > MAX_ORPHANS) return;
    this.#orphans += entries.length;
    this.#write({ kind: "removeEntries", entries }, entries.length)
      .catch((error: unknown) => this.#options.logger.debug({ err: error }, "entries without a message stay in Redis"))
      .finally(() => {
        this.#orphans -= entries.length;
      });
  }

  async #flush(batch: readonly StoreCall[]): Promise<void> {
    const writes = batch.filter(({ write }) => write);
    const reads = batch.filter(({ write }) => !write);
    const again = writes.length === 0 ? [] : await this.#flushWrites(writes);
    // A read sees the writes called before it, so it waits with those that have to be tried again.
    this.#queue.flushed([...again, ...(again.length === 0 ? [] : reads)]);
    if (again.length > 0) return;
    for (const call of reads) {
      this.#running.start({ call, run: () => (call.request as ReadRequest).run(this.#readsFor(call)) });
    }
  }

  /** For a call that may take many round trips: none begins once its time is over, so that it keeps no other from its turn. */
  #readsFor(call: StoreCall): RedisContext {
    const over = new Error("nobody waits for the answer any more");
    const { send } = this.#reads;
    return {
      ...this.#reads,
      send: (commands, convert) => (call.settled ? Promise.reject(over) : send(commands, convert)),
    };
  }

  /** Settles what can be settled; returns what has to be tried again. */
  async #flushWrites(calls: readonly StoreCall[]): Promise<StoreCall[]> {
    this.#underWay = requestsOf(calls);
    const outcomes = await writeFlush(this.#writes, this.#savedIds, this.#underWay);
    this.#underWay = [];
    const again: StoreCall[] = [];
    let worked = false;
    let broken: StoreError | undefined;
    let refused: StoreError | undefined;
    for (const [at, call] of calls.entries()) {
      const error = outcomes[at];
      if (error === undefined) {
        worked = true;
        this.#queue.resolve(call);
      } else if (error instanceof SameIdError) again.push(call);
      else if (error instanceof KeyTakenError)
        this.#queue.reject(call, takenError(call.request as WriteRequest, error));
      else {
        const problem = problemOf(error, this.#servers.place);
        if (problem.kind === "retry") {
          broken = problem.error;
          again.push(call);
        } else {
          if (problem.kind === "refused") refused = problem.error;
          this.#queue.reject(call, problem.error);
        }
      }
    }
    if (broken !== undefined) this.#suspend(broken, keysOf(this.#writes, requestsOf(again), SUSPECT_KEYS));
    else if (refused !== undefined) this.#watch.note(refused);
    else if (worked) this.#watch.worked();
    return again;
  }

  /** What the caller of a read is told; undefined: it is tried again when Redis works. */
  #readFailed(error: Error): StoreError | undefined {
    const problem = problemOf(error, this.#servers.place);
    if (problem.kind === "retry") {
      this.#suspend(problem.error);
      return undefined;
    }
    if (problem.kind === "refused") this.#watch.note(problem.error);
    return problem.error;
  }

  /** Sends nothing more until a probe finds that Redis works, and that these keys can be reached. */
  #suspend(error: StoreError, keys?: readonly string[]): void {
    this.#queue.pause();
    this.#watch.note(error, keys);
  }

  #works(): void {
    void this.#firstLook.look();
    this.#running.resume();
    this.#queue.resume();
  }

  #timeoutError(underWay: boolean): StoreError {
    const { place, nodeError } = this.#servers;
    const error =
      this.#watch.health.error ??
      (nodeError && problemOf(nodeError, place).error) ??
      new StoreUnavailableError(
        `${place.name} did not answer within ${this.#options.timeout} ms, and may still do what it was asked: see whether it is overloaded or hangs.`,
      );
    if (underWay) this.#watch.note(error, keysOf(this.#writes, this.#underWay, SUSPECT_KEYS));
    return error;
  }
}

function requestsOf(writes: readonly StoreCall[]): WriteRequest[] {
  return writes.map(({ request }) => request as WriteRequest);
}

/** Waits for a promise that never rejects; whether it settled in time (ms). */
async function withinTime(promise: Promise<void>, time: number): Promise<boolean> {
  const stop = new AbortController();
  const timeout = wait(Math.max(1, time), false, { signal: stop.signal }).catch(() => false);
  const settled = await Promise.race([promise.then(() => true), timeout]);
  stop.abort();
  return settled;
}

/** What the publisher is told of a key that is taken. */
function takenError(request: WriteRequest, { holder }: KeyTakenError): StoreError {
  const topic = request.kind === "saveMessage" ? request.message.topic : "";
  return new StoreInvalidError(
    holder === "topic"
      ? `The key of the topic ${topic.slice(0, 80)} in Redis holds something else: publish to another topic, or remove that key.`
      : "The key of this message in Redis holds something else: publish it again.",
  );
}
