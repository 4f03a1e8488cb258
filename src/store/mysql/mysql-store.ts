// The store on MySQL and MariaDB, with the SQL of the user: what each call asks of the database.
//
// `remote-calls.ts` groups the calls and tries them again, `write-flush.ts` carries out a group of writes, and a file of its own
// in `operations/` each thing that is asked.

import type { Message } from "../../mqtt/message.ts";
import type { MessageId } from "../../mqtt/message-id.ts";
import { messageBytes } from "../../mqtt/message-size.ts";
import type { Subscription } from "../../mqtt/subscription.ts";
import { StoreError, StoreUnavailableError } from "../errors.ts";
import { inChunks } from "../in-chunks.ts";
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
import type { Execute, MySqlContext } from "./context.ts";
import type { Layout } from "./layout.ts";
import { ExpirySweep } from "./operations/expire.ts";
import { findSaved } from "./operations/find-saved.ts";
import { lastMessageId } from "./operations/last-message-id.ts";
import { listClients } from "./operations/list-clients.ts";
import { countAll, listTopics } from "./operations/list-topics.ts";
import { lastRowId } from "./operations/read-entries.ts";
import { readMessage } from "./operations/read-message.ts";
import { PageReader } from "./operations/read-page.ts";
import { listSubscriptions } from "./operations/subscriptions.ts";
import { DEFAULT_BATCH_SIZE, type MySqlStoreOptions } from "./options.ts";
import { problemOf } from "./problem.ts";
import { roomForMessage, roomForSubscription } from "./room.ts";
import { RowIds } from "./row-ids.ts";
import { MySqlServers } from "./servers.ts";
import { StartWarnings } from "./start-warnings.ts";
import { TemplateError } from "./template.ts";
import { readTemplates, type Templates } from "./templates.ts";
import { withUnheldTexts } from "./unheld-texts.ts";
import { type FlushMemory, type WriteRequest, writeFlush } from "./write-flush.ts";

/** Messages that a purge reads and removes at once, and the bytes of their payloads. */
const PURGE_MESSAGES = 512;
const PURGE_BYTES = 4 * 1024 * 1024;

/** A lock is taken for over when no save has met it for so many times the store timeout. */
const LOCK_TIMEOUTS = 2;

export class MySqlStore implements Store {
  readonly #options: MySqlStoreOptions;
  readonly #templates: Templates;
  readonly #servers: MySqlServers;
  readonly #calls: RemoteCalls<WriteRequest>;
  readonly #rowIds = new RowIds();
  readonly #memory: FlushMemory = { savedIds: new SavedIds(), unsure: new Set(), lastRowId: 0 };
  /** The tables of which `lastRowId` was found out. */
  #lookedAt: Layout | undefined;
  readonly #pages = new PageReader();
  readonly #expiry = new ExpirySweep();
  readonly #warnings: StartWarnings;
  #events: StoreEvents = {};

  /** Throws `TemplateError` for a template that cannot be used. */
  constructor(options: MySqlStoreOptions) {
    this.#options = options;
    this.#templates = readTemplates(options.templates);
    this.#warnings = new StartWarnings(options.logger);
    this.#servers = new MySqlServers(options, this.#templates, () => this.#calls.connected());
    const server: RemoteServer<WriteRequest> = {
      where: `MySQL at ${this.#servers.where}`,
      open: () => this.#servers.open(),
      close: () => this.#servers.close(),
      probe: () => this.#probe(),
      works: () => {},
      problemOf: (error) => this.#problemOf(error),
      flush: (writes) => this.#flush(writes),
    };
    const { timeout, batchSize = DEFAULT_BATCH_SIZE } = options;
    this.#calls = new RemoteCalls(server, { timeout, batchSize });
  }

  start(events: StoreEvents): Promise<void> {
    this.#events = events;
    return this.#calls.start(events);
  }

  stop(): Promise<void> {
    return this.#calls.stop();
  }

  health(): StoreHealth {
    return this.#calls.health();
  }

  checkHealth(): Promise<StoreHealth> {
    return this.#calls.checkHealth();
  }

  async saveMessage(message: Message): Promise<void> {
    const { knownLayout: layout } = this.#servers;
    const problem = layout && roomForMessage(layout, message);
    if (problem !== undefined) throw problem;
    await this.#calls.write({ kind: "saveMessage", message }, 1, messageBytes(message));
  }

  readPage(request: PageRequest): Promise<Page> {
    return this.#read((context) => this.#pages.read(context, request));
  }

  isPosition(text: string): boolean {
    return /^\d{1,15}$/.test(text);
  }

  readMessage(id: MessageId, topic?: string): Promise<Message | undefined> {
    return this.#read((context) => readMessage(context, id, topic));
  }

  findStored(keys: readonly MessageKey[]): Promise<MessageId[]> {
    return this.#read(async (context) => [...(await findSaved(context, keys, 0))]);
  }

  async deleteMessages(keys: readonly MessageKey[]): Promise<void> {
    await inChunks(keys, (chunk) => this.#calls.write({ kind: "deleteMessages", keys: chunk }, chunk.length));
  }

  async saveSubscription(subscription: Subscription): Promise<void> {
    const { knownLayout: layout } = this.#servers;
    const problem = layout && roomForSubscription(layout, subscription);
    if (problem !== undefined) throw problem;
    await this.#calls.write({ kind: "saveSubscription", subscription });
  }

  async deleteSubscription(clientId: string, topicFilter: string): Promise<void> {
    await this.#calls.write({ kind: "deleteSubscription", clientId, topicFilter });
  }

  listSubscriptions(clientId: string): Promise<Subscription[]> {
    return this.#read((context) => listSubscriptions(context, clientId));
  }

  listClients(after: string, limit: number): Promise<string[] | undefined> {
    return this.#read((context) => listClients(context, after, limit));
  }

  /** The tables of EMQX's plugin have no room for when a client was seen. */
  touchSubscriptions(): Promise<void> {
    return this.#calls.whileStarted(undefined);
  }

  listStaleClients(): Promise<string[]> {
    return this.#calls.whileStarted([]);
  }

  /** The tables of EMQX's plugin have no room for Packet Identifiers. */
  listPacketIds(): Promise<PacketIdOfMessage[]> {
    return this.#calls.whileStarted([]);
  }

  listTopics(request: TopicsRequest): Promise<TopicsPage> {
    return this.#read((context) => listTopics(context, request));
  }

  totals(): Promise<StoreTotals> {
    return this.#read(countAll);
  }

  lastMessageId(): Promise<MessageId | undefined> {
    return this.#read(lastMessageId);
  }

  async purge(topicFilter: string, limit: number): Promise<number> {
    let removed = 0;
    let first: MessageId | undefined;
    for (let after: string | undefined; removed < limit; ) {
      const maxMessages = Math.min(PURGE_MESSAGES, limit - removed);
      const page = await this.readPage({
        topicFilter,
        maxMessages,
        maxBytes: PURGE_BYTES,
        ...(after === undefined ? undefined : { after }),
      });
      // A page without ids has all that may be read at once, and is read again for what comes behind it.
      const keys = page.messages.slice(0, maxMessages).map(({ message: { id, topic } }) => ({ id, topic }));
      // A template that removes may leave what the one that selects gives.
      if (after === undefined && first !== undefined && keys[0]?.id === first) break;
      first = keys[0]?.id;
      await this.deleteMessages(keys);
      removed += keys.length;
      const isPaged = this.#servers.knownLayout?.selected.has("id");
      if (page.next === undefined && (isPaged || keys.length === 0)) break;
      after = page.next;
    }
    return removed;
  }

  async expire(now: number, limit: number): Promise<number> {
    const dead = await this.#read((context) => this.#expiry.find(context, now, limit));
    await this.deleteMessages(dead);
    return dead.length;
  }

  #read<T>(work: (context: MySqlContext) => Promise<T>): Promise<T> {
    return this.#calls.read((call) => {
      const { read } = this.#servers;
      // Nobody waits any more: it should not keep others from their turn.
      const whileWanted: Execute = (sql, parameters) =>
        call.settled ? Promise.reject(new Error("the call's time is over")) : read(sql, parameters);
      return work(this.#context(whileWanted, this.#servers.knownLayout));
    });
  }

  #context(execute: Execute, layout = this.#servers.layout): MySqlContext {
    if (layout === undefined) throw new Error("not connected yet");
    const { messageTtl, maxBacklogPerTopic } = this.#options;
    return {
      execute: withUnheldTexts(execute),
      insert: execute,
      templates: this.#templates,
      layout,
      rowIds: this.#rowIds,
      messageTtl,
      maxBacklogPerTopic,
    };
  }

  async #flush(writes: readonly WriteRequest[]): Promise<Outcome[]> {
    let context: MySqlContext;
    try {
      context = this.#context(this.#servers.write);
    } catch (error) {
      return writes.map(() => error as Error);
    }
    const outcomes = await writeFlush(context, this.#memory, writes, {
      collided: (subscription) => {
        this.#warnings.collided(subscription);
        this.#events.collided?.();
      },
    });
    for (const [at, outcome] of outcomes.entries()) {
      if (writes[at]?.kind !== "saveMessage" || outcome === "again") continue;
      if (outcome === "done") this.#servers.noteFull(undefined, 0);
      if (!(outcome instanceof Error)) continue;
      const { kind } = problemOf(outcome, "");
      // Nothing but a write shows that there is room again. A lock ends, whether somebody writes or not.
      if (kind === "full") this.#servers.noteFull(outcome, Number.POSITIVE_INFINITY);
      if (kind === "locked") this.#servers.noteFull(outcome, LOCK_TIMEOUTS * this.#options.timeout);
    }
    return outcomes;
  }

  async #probe(): Promise<Error | undefined> {
    const error = await this.#servers.probe();
    const { layout } = this.#servers;
    if (error !== undefined || layout === undefined) return error;
    this.#warnings.look(this.#templates, layout, this.#options);
    if (this.#lookedAt !== layout) {
      try {
        const last = await lastRowId(this.#context(this.#servers.write));
        // Ids that begin again are those of another table.
        if (this.#lookedAt === undefined) this.#memory.lastRowId = last;
        else if (last < this.#memory.lastRowId) this.#memory.lastRowId = 0;
        this.#lookedAt = layout;
      } catch (cause) {
        return cause as Error;
      }
    }
    return undefined;
  }

  #problemOf(error: Error): RemoteProblem {
    if (error instanceof TemplateError) {
      return { kind: "lasting", error: new StoreUnavailableError(error.message) };
    }
    // Found out before the server was asked.
    if (error instanceof StoreError) return { kind: "own", error };
    const { kind, error: told } = problemOf(error, this.#servers.where);
    if (kind === "retry") return { kind, error: told };
    if (kind === "refused") this.#servers.doubt();
    const isOwn = kind === "data" || (kind === "locked" && !this.#servers.isFull(error));
    return { kind: isOwn ? "own" : "lasting", error: told };
  }
}
