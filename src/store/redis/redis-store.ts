// The store on Redis, in the format of EMQX's plugin: what each call asks of the servers.
//
// `remote-calls.ts` groups the calls and tries them again: every write can be repeated without harm. `write-flush.ts` sends a group
// of writes as one pipeline, and a file of its own in `operations/` has each thing that is asked.

import { toB62 } from "../../mqtt/base62.ts";
import type { Message } from "../../mqtt/message.ts";
import type { MessageId } from "../../mqtt/message-id.ts";
import { messageBytes } from "../../mqtt/message-size.ts";
import type { Subscription } from "../../mqtt/subscription.ts";
import { MAX_TOPIC_BYTES } from "../../mqtt/topic.ts";
import { StoreError, StoreInvalidError, StoreTooLargeError } from "../errors.ts";
import { inChunks } from "../in-chunks.ts";
import { deathOf } from "../message-death.ts";
import { type Outcome, RemoteCalls, type RemoteProblem, type RemoteServer } from "../remote-calls.ts";
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
  TopicsPage,
  TopicsRequest,
} from "../store.ts";
import { withinTime } from "../within-time.ts";
import type { IndexEntry, RedisContext } from "./context.ts";
import { EarlyDeaths } from "./early-deaths.ts";
import { FirstLook } from "./first-look.ts";
import { RedisKeys, readsAsMessageId } from "./keys.ts";
import { ExpirySweep } from "./operations/expire.ts";
import { findLast } from "./operations/find-last.ts";
import { findStored } from "./operations/find-stored.ts";
import { countAll, listTopics } from "./operations/list-topics.ts";
import { purge } from "./operations/purge.ts";
import { readMessage } from "./operations/read-message.ts";
import { PayloadSizes } from "./operations/read-messages.ts";
import { PageReader } from "./operations/read-page.ts";
import { listSubscriptions } from "./operations/subscriptions.ts";
import { DEFAULT_BATCH_SIZE, type RedisStoreOptions } from "./options.ts";
import { problemOf } from "./problem.ts";
import { ScoreClock } from "./score-clock.ts";
import { RedisServers } from "./servers.ts";
import { keysOf, type WriteRequest, writeFlush } from "./write-flush.ts";

/** Redis's own limit for one value (`proto-max-bulk-len`). */
const MAX_PAYLOAD_BYTES = 512 * 1024 * 1024;
/** An entry without a hash that is older than so many timeouts was not just being written. */
const ORPHAN_TIMEOUTS = 2;
/** Entries to remove that may wait; readers find those beyond again. */
const MAX_ORPHANS = 10_000;

/** Keys of calls that failed which a probe asks for. */
const SUSPECT_KEYS = 64;

export class RedisStore implements Store {
  readonly #options: RedisStoreOptions;
  readonly #calls: RemoteCalls<WriteRequest>;
  readonly #servers: RedisServers;
  readonly #writes: RedisContext;
  readonly #reads: RedisContext;
  readonly #scores = new ScoreClock();
  readonly #savedIds = new SavedIds();
  readonly #deaths = new EarlyDeaths();
  readonly #sizes = new PayloadSizes();
  readonly #pages: PageReader;
  readonly #expiry: ExpirySweep;
  readonly #firstLook: FirstLook;
  /** Those of the flush that is under way. */
  #underWay: readonly WriteRequest[] = [];
  /** Keys that could not be reached: in a cluster others may answer all the while. */
  #suspects: readonly string[] = [];
  #orphans = 0;

  constructor(options: RedisStoreOptions) {
    this.#options = options;
    this.#servers = new RedisServers(options, {
      ready: () => this.#calls.connected(),
      broken: () => this.#calls.disconnected(),
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
    this.#firstLook = new FirstLook(this.#servers, this.#reads, options.logger);
    const { timeout, batchSize = DEFAULT_BATCH_SIZE } = options;
    this.#calls = new RemoteCalls(this.#server(), { timeout, batchSize });
  }

  /** The servers, as the calls see them. */
  #server(): RemoteServer<WriteRequest> {
    const { place } = this.#servers;
    return {
      where: place.name,
      open: () => this.#servers.attempted(),
      close: () => this.#servers.close(),
      probe: () => this.#servers.probe(this.#suspects),
      works: () => {
        this.#suspects = [];
        void this.#firstLook.look();
      },
      problemOf: (error) => this.#problemOf(error),
      flush: (writes) => this.#flush(writes),
      late: () => {
        this.#suspects = keysOf(this.#writes, this.#underWay, SUSPECT_KEYS);
      },
      reasonForSilence: () => {
        const { nodeError } = this.#servers;
        return nodeError && problemOf(nodeError, place).error;
      },
    };
  }

  async start(events: StoreEvents): Promise<void> {
    await this.#calls.start(events);
    if (this.health().status === "ok") await withinTime(this.#firstLook.look(), this.#options.timeout);
  }

  stop(): Promise<void> {
    this.#firstLook.stop();
    return this.#calls.stop();
  }

  health(): StoreHealth {
    return this.#calls.health();
  }

  checkHealth(): Promise<StoreHealth> {
    return this.#calls.checkHealth();
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
    await this.#calls.write(request, 1, messageBytes(message));
    this.#sizes.written(payload.length);
    const { messageTtl, timeout } = this.#options;
    const death = deathOf(message, messageTtl);
    // What waited for a moment before it was stored dies with its entry.
    if (death < deathOf({ ...message, timestamp: score, expiresAt: undefined }, messageTtl) - timeout) {
      this.#deaths.add({ at: death, id62: request.id62, topic });
    }
  }

  readPage(request: PageRequest): Promise<Page> {
    return this.#read(() => this.#pages.read(request));
  }

  isPosition(text: string): boolean {
    return /^\d{1,16}(?:\.\d{1,16})?:.{1,200}$/s.test(text);
  }

  readMessage(id: MessageId): Promise<Message | undefined> {
    return this.#read((reads) => readMessage(reads, toB62(id)));
  }

  findStored(keys: readonly MessageKey[]): Promise<MessageId[]> {
    const ids62 = keys.map(({ id }) => toB62(id));
    return this.#read((reads) => findStored(reads, ids62));
  }

  async deleteMessages(keys: readonly MessageKey[]): Promise<void> {
    await inChunks(keys, (chunk) => {
      const entries = chunk.map(({ id, topic }) => ({ id62: toB62(id), topic }));
      return this.#calls.write({ kind: "deleteMessages", entries }, entries.length);
    });
  }

  async saveSubscription(subscription: Subscription): Promise<void> {
    await this.#calls.write({ kind: "saveSubscription", subscription });
  }

  async deleteSubscription(clientId: string, topicFilter: string): Promise<void> {
    await this.#calls.write({ kind: "deleteSubscription", clientId, topicFilter });
  }

  listSubscriptions(clientId: string): Promise<Subscription[]> {
    return this.#read((reads) => listSubscriptions(reads, clientId));
  }

  /** Neither the original's format nor its rights have a way to find them. */
  listClients(): Promise<undefined> {
    return this.#calls.whileStarted(undefined);
  }

  /** The original's format has no room for when a client was seen. */
  touchSubscriptions(): Promise<void> {
    return this.#calls.whileStarted(undefined);
  }

  listStaleClients(): Promise<string[]> {
    return this.#calls.whileStarted([]);
  }

  /** The original's format has no room for Packet Identifiers. */
  listPacketIds(): Promise<PacketIdOfMessage[]> {
    return this.#calls.whileStarted([]);
  }

  listTopics(request: TopicsRequest): Promise<TopicsPage> {
    return this.#read((reads) => listTopics(reads, this.#sizes, request));
  }

  totals(): Promise<StoreTotals> {
    return this.#read((reads) => countAll(reads, this.#sizes));
  }

  /** Scores go on above those stored as well: after a restart the clock may be behind them. */
  lastMessageId(): Promise<MessageId | undefined> {
    return this.#read(async (reads) => {
      const { id, score } = await findLast(reads);
      if (score !== undefined) this.#scores.advancePast(score);
      return id;
    });
  }

  purge(topicFilter: string, limit: number): Promise<number> {
    return this.#read((reads) => purge(reads, topicFilter, limit));
  }

  expire(now: number, limit: number): Promise<number> {
    return this.#read(() => this.#expiry.expire(now, limit));
  }

  /** A call may take many round trips: none begins once its time is over, so that it keeps no other from its turn. */
  #read<T>(work: (reads: RedisContext) => Promise<T>): Promise<T> {
    return this.#calls.read((call) => {
      const { send } = this.#reads;
      const over = new Error("nobody waits for the answer any more");
      return work({
        ...this.#reads,
        send: (commands, convert) => (call.settled ? Promise.reject(over) : send(commands, convert)),
      });
    });
  }

  /** Removes entries that have lost their hashes. Readers find again what is not removed now. */
  #sweep(entries: readonly IndexEntry[]): void {
    if (this.#orphans + entries.length > MAX_ORPHANS) return;
    this.#orphans += entries.length;
    this.#calls
      .write({ kind: "removeEntries", entries }, entries.length)
      .catch((error: unknown) => this.#options.logger.debug({ err: error }, "entries without a message stay in Redis"))
      .finally(() => {
        this.#orphans -= entries.length;
      });
  }

  async #flush(writes: readonly WriteRequest[]): Promise<Outcome[]> {
    this.#underWay = writes;
    const outcomes = await writeFlush(this.#writes, this.#savedIds, writes);
    this.#underWay = [];
    const isRetry = (outcome: Outcome): boolean =>
      outcome instanceof Error && problemOf(outcome, this.#servers.place).kind === "retry";
    const cutOff = writes.filter((_, at) => isRetry(outcomes[at] as Outcome));
    if (cutOff.length > 0) this.#suspects = keysOf(this.#writes, cutOff, SUSPECT_KEYS);
    return outcomes;
  }

  #problemOf(error: Error): RemoteProblem {
    if (error instanceof StoreError) return { kind: "own", error };
    const problem = problemOf(error, this.#servers.place);
    if (problem.kind === "retry") return { kind: "retry", error: problem.error };
    return { kind: problem.kind === "refused" ? "lasting" : "own", error: problem.error };
  }
}
