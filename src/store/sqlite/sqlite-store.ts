// The store on SQLite: turns calls into requests, groups them, and hands them to a worker thread, so that no fsync and
// no lock stops the event loop.

import type { Message } from "../../mqtt/message.ts";
import type { MessageId } from "../../mqtt/message-id.ts";
import { messageBytes } from "../../mqtt/message-size.ts";
import type { Subscription } from "../../mqtt/subscription.ts";
import { fromColumns, toColumns, transferList } from "../../sqlite/message-columns.ts";
import { WorkerLink } from "../../sqlite/worker-link.ts";
import { CALL_LIMITS, type Call, type CallCost, CallQueue, monotonicTime } from "../call-queue.ts";
import { type StoreError, StoreTooLargeError, StoreUnavailableError } from "../errors.ts";
import { inChunks } from "../in-chunks.ts";
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
  TopicsPage,
  TopicsRequest,
} from "../store.ts";
import { DEFAULT_BATCH_SIZE, type SqliteStoreOptions, type WorkerOptions, workerOptions } from "./options.ts";
import type {
  BatchMessage,
  FoundMessageId,
  PacketIdColumns,
  PageColumns,
  ReadRequest,
  Reply,
  SweepStep,
  TopicsStep,
  WriteRequest,
} from "./protocol.ts";
import { storeError } from "./store-error.ts";
import { WORKER_NAME, workerFile } from "./worker-file.ts";

/** SQLite's limit for one row is 1,000,000,000 bytes; the other columns need some of them. */
const MAX_PAYLOAD_BYTES = 999_000_000;
/** A call with less time left than this is not tried again, in ms. */
const TOO_LATE = 60;
/** While the database does not work it is looked at this often, in ms. */
const HEALTH_INTERVAL = 500;

interface SaveMessage {
  readonly kind: "saveMessage";
  readonly message: Message;
  readonly packetId: number;
}
type Request = SaveMessage | WriteRequest | ReadRequest;
type StoreCall = Call<Request>;

const NO_EVENTS: StoreEvents = {};
const READ: CallCost = { write: false, weight: 1, bytes: 0 };

export class SqliteStore implements Store {
  readonly #options: SqliteStoreOptions;
  readonly #workerOptions: WorkerOptions;
  readonly #queue: CallQueue<Request>;
  #link: WorkerLink<BatchMessage, Reply> | undefined;
  #events = NO_EVENTS;
  #batch: readonly StoreCall[] = [];
  /** Calls that were in a worker's hands when it died: they are tried once more. */
  #triedTwice = new WeakSet<StoreCall>();
  #health: StoreHealth;
  #healthTimer: NodeJS.Timeout | undefined;
  #stopped: string | undefined = "The store is not started.";

  constructor(options: SqliteStoreOptions) {
    this.#options = options;
    this.#workerOptions = workerOptions(options);
    this.#health = { status: "error", error: new StoreUnavailableError("The store is not started.") };
    this.#queue = new CallQueue<Request>({
      ...CALL_LIMITS,
      timeout: this.#workerOptions.timeout,
      batchSize: options.batchSize ?? DEFAULT_BATCH_SIZE,
      flush: (batch) => this.#send(batch),
      timeoutError: (underWay) => this.#timeoutError(underWay),
      fullError: () =>
        new StoreUnavailableError(
          "More calls wait for the database than memory is set aside for: publish more slowly.",
        ),
    });
  }

  async start(events: StoreEvents): Promise<void> {
    this.#events = events;
    this.#stopped = undefined;
    this.#health = { status: "ok" };
    this.#queue.pause();
    const { logger } = this.#options;
    const settings = {
      file: workerFile,
      name: WORKER_NAME,
      owner: "the SQLite store",
      workerData: this.#workerOptions,
      logger,
    };
    this.#link = new WorkerLink(settings, {
      reply: (reply) => this.#receive(reply),
      died: () => this.#workerDied(),
      ready: () => this.#queue.resume(),
    });
    this.#link.start();
    await this.checkHealth();
  }

  async stop(): Promise<void> {
    if (this.#link === undefined) return;
    this.#stopped = "The store is stopped.";
    clearTimeout(this.#healthTimer);
    await this.#queue.idle();
    await this.#link.stop(this.#workerOptions.timeout);
    this.#link = undefined;
    this.#events = NO_EVENTS;
    this.#health = { status: "error", error: new StoreUnavailableError("The store is stopped.") };
  }

  health(): StoreHealth {
    return this.#health;
  }

  async checkHealth(): Promise<StoreHealth> {
    try {
      await this.#call({ kind: "checkHealth" }, READ);
    } catch (error) {
      // A check that could not be made tells about the store as well.
      if (this.#health.status === "ok") return { status: "error", error: error as StoreError };
    }
    return this.#health;
  }

  async saveMessage(message: Message, packetId = 0): Promise<void> {
    const bytes = message.payload.length;
    if (bytes > MAX_PAYLOAD_BYTES) {
      throw new StoreTooLargeError(`SQLite has no room for a payload of ${bytes} bytes: send a smaller one.`);
    }
    const cost = { write: true, weight: 1, bytes: messageBytes(message) };
    await this.#call({ kind: "saveMessage", message, packetId }, cost);
  }

  async readPage({ topicFilter, after, maxMessages, maxBytes }: PageRequest): Promise<Page> {
    const request: ReadRequest = {
      kind: "readPage",
      topicFilter,
      after: after === undefined ? 0 : Number(after),
      maxMessages,
      maxBytes,
      now: Date.now(),
    };
    const { messages, positions, next } = (await this.#call(request, READ)) as PageColumns;
    return {
      messages: fromColumns(messages).map((message, at) => ({ message, position: String(positions[at]) })),
      ...(next === undefined ? undefined : { next: String(next) }),
    };
  }

  isPosition(text: string): boolean {
    return /^\d{1,15}$/.test(text);
  }

  async readMessage(id: MessageId): Promise<Message | undefined> {
    const { messages } = (await this.#call({ kind: "readMessage", id, now: Date.now() }, READ)) as PageColumns;
    return fromColumns(messages)[0];
  }

  async findStored(keys: readonly MessageKey[]): Promise<MessageId[]> {
    const found: MessageId[] = [];
    const ids = keys.map(({ id }) => id);
    await inChunks(ids, async (chunk) => {
      found.push(...((await this.#call({ kind: "findStored", ids: chunk }, READ)) as MessageId[]));
    });
    return found;
  }

  async deleteMessages(keys: readonly MessageKey[]): Promise<void> {
    const ids = keys.map((key) => key.id);
    await inChunks(ids, (chunk) => this.#write({ kind: "deleteMessages", ids: chunk }, chunk.length));
  }

  async saveSubscription(subscription: Subscription): Promise<void> {
    const { clientId, topicFilter, qos, noLocal, retainAsPublished, retainHandling } = subscription;
    const { subscriptionIdentifier } = subscription;
    // Named one by one, so that nothing else that the object may hold is cloned into the thread.
    const plain = { clientId, topicFilter, qos, noLocal, retainAsPublished, retainHandling, subscriptionIdentifier };
    await this.#write({ kind: "saveSubscription", subscription: plain as Subscription, seenAt: Date.now() });
  }

  async deleteSubscription(clientId: string, topicFilter: string): Promise<void> {
    await this.#write({ kind: "deleteSubscription", clientId, topicFilter });
  }

  async listSubscriptions(clientId: string): Promise<Subscription[]> {
    return (await this.#call({ kind: "listSubscriptions", clientId }, READ)) as Subscription[];
  }

  async listClients(after: string, limit: number): Promise<string[]> {
    return (await this.#call({ kind: "listClients", after, limit }, READ)) as string[];
  }

  async touchSubscriptions(clientIds: readonly string[], seenAt: number): Promise<void> {
    await inChunks(clientIds, (chunk) =>
      this.#write({ kind: "touchSubscriptions", clientIds: chunk, seenAt }, chunk.length),
    );
  }

  async listStaleClients(seenBefore: number, limit: number): Promise<string[]> {
    return (await this.#call({ kind: "listStaleClients", seenBefore, limit }, READ)) as string[];
  }

  async listTopics({ topicFilter, after, limit }: TopicsRequest): Promise<TopicsPage> {
    const found: TopicSummary[] = [];
    let from = after;
    do {
      const request: ReadRequest = { kind: "listTopics", topicFilter, limit: limit - found.length, ...since(from) };
      const step = (await this.#call(request, READ)) as TopicsStep;
      found.push(...step.topics);
      from = step.after;
    } while (from !== undefined && found.length < limit);
    return from === undefined ? { topics: found } : { topics: found, next: from };
  }

  async totals(): Promise<StoreTotals> {
    return (await this.#call({ kind: "totals" }, READ)) as StoreTotals;
  }

  async lastMessageId(): Promise<MessageId | undefined> {
    return ((await this.#call({ kind: "lastMessageId" }, READ)) as FoundMessageId).id;
  }

  async listPacketIds(after: MessageId, limit: number): Promise<PacketIdOfMessage[]> {
    const listed = (await this.#call({ kind: "listPacketIds", after, limit }, READ)) as PacketIdColumns;
    return fromColumns(listed.messages).map((message, at) => ({ message, packetId: listed.packetIds[at] as number }));
  }

  async purge(topicFilter: string, limit: number): Promise<number> {
    return this.#sweep(limit, (left, after) => ({ kind: "purge", topicFilter, limit: left, ...since(after) }));
  }

  async expire(now: number, limit: number): Promise<number> {
    return this.#sweep(limit, (left) => ({ kind: "expire", now, limit: left }));
  }

  /** Repeats a bounded step until enough is removed or nothing is left. */
  async #sweep(limit: number, request: (left: number, after: string | undefined) => WriteRequest): Promise<number> {
    let removed = 0;
    let after: string | undefined;
    do {
      const step = (await this.#write(request(limit - removed, after))) as SweepStep;
      removed += step.removed;
      after = step.after;
    } while (after !== undefined && removed < limit);
    return removed;
  }

  #write(request: WriteRequest, weight = 1): Promise<unknown> {
    return this.#call(request, { write: true, weight, bytes: 0 });
  }

  #call(request: Request, cost: CallCost): Promise<unknown> {
    if (this.#stopped !== undefined) return Promise.reject(new StoreUnavailableError(this.#stopped));
    return this.#queue.add(request, cost);
  }

  #send(calls: readonly StoreCall[]): void {
    this.#batch = calls;
    const saved: Message[] = [];
    const packetIds: number[] = [];
    const requests: (WriteRequest | ReadRequest | null)[] = [];
    let deadline = Number.POSITIVE_INFINITY;
    for (const { request, deadline: ownDeadline } of calls) {
      deadline = Math.min(deadline, ownDeadline);
      if (request.kind === "saveMessage") {
        saved.push(request.message);
        packetIds.push(request.packetId);
        requests.push(null);
      } else requests.push(request);
    }
    const messages = toColumns(saved);
    const batch: BatchMessage = { kind: "batch", deadline, messages, packetIds: Uint16Array.from(packetIds), requests };
    this.#link?.send(batch, transferList(messages));
  }

  #receive(reply: Reply): void {
    const batch = this.#batch;
    this.#batch = [];
    this.#noteHealth(
      reply.health === undefined ? { status: "ok" } : { status: "error", error: storeError(reply.health) },
    );
    if (reply.outcome === "locked") {
      this.#tryAgain(batch);
      return;
    }
    // The next batch goes first, so that the worker has something to do while these calls are settled.
    this.#queue.flushed();
    for (const [at, problem] of reply.failures) this.#queue.reject(batch[at] as StoreCall, storeError(problem));
    for (const [at, result] of reply.results) this.#queue.resolve(batch[at] as StoreCall, result);
    for (const call of batch) this.#queue.resolve(call);
    if (reply.dropped > 0) this.#events.dropped?.(reply.dropped);
  }

  /** Nothing of the batch was executed: what has time left goes out again. */
  #tryAgain(batch: readonly StoreCall[]): void {
    const now = monotonicTime();
    for (const call of batch) {
      if (call.deadline - now <= TOO_LATE) this.#queue.reject(call, this.#health.error ?? this.#timeoutError(false));
    }
    this.#queue.flushed(batch);
  }

  #workerDied(): void {
    const batch = this.#batch;
    this.#batch = [];
    this.#queue.pause();
    const error = new StoreUnavailableError(
      "The thread of the SQLite store died: the log says why. It is started again.",
    );
    this.#noteHealth({ status: "error", error });
    // Every request can be repeated without harm, but one that kills the worker must not do so for ever.
    for (const call of batch) {
      if (this.#triedTwice.has(call)) this.#queue.reject(call, error);
      else this.#triedTwice.add(call);
    }
    this.#queue.flushed(batch);
  }

  #noteHealth(health: StoreHealth): void {
    const changed = health.status !== this.#health.status || health.error?.message !== this.#health.error?.message;
    if (!changed) return;
    this.#health = health;
    this.#events.healthChanged?.(health);
    clearTimeout(this.#healthTimer);
    if (health.status === "error" && this.#stopped === undefined) this.#watchHealth();
  }

  /** Looks at a database that does not work until it does, since there may be no calls that would notice. */
  #watchHealth(): void {
    this.#healthTimer = setTimeout(async () => {
      await this.checkHealth();
      if (this.#health.status === "error" && this.#stopped === undefined) this.#watchHealth();
    }, HEALTH_INTERVAL);
  }

  #timeoutError(underWay: boolean): StoreError {
    const { error } = this.#health;
    if (!underWay && error !== undefined) return error;
    const { path, timeout } = this.#workerOptions;
    return new StoreUnavailableError(
      underWay
        ? `The database ${path} did not answer within ${timeout} ms, and may still do what it was asked: check the disk.`
        : `The database ${path} had no time for this call within ${timeout} ms: publish more slowly, or raise the timeout.`,
    );
  }
}

function since(after: string | undefined): { after?: string } {
  return after === undefined ? {} : { after };
}
