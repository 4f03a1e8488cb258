// A store in memory for the plugin's tests. A test may hold its calls back, carry them out one by one, or let them fail.

import type { Message } from "../../src/mqtt/message.ts";
import type { MessageId } from "../../src/mqtt/message-id.ts";
import type { Subscription } from "../../src/mqtt/subscription.ts";
import { topicMatches } from "../../src/mqtt/topic.ts";
import { StoreUnavailableError } from "../../src/store/errors.ts";
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
} from "../../src/store/store.ts";

interface Call {
  readonly name: string;
  readonly run: () => void;
}

export class MemoryStore implements Store {
  /** What is stored, in publish order. */
  messages: { position: number; message: Message; packetId?: number }[] = [];
  subscriptions = new Map<string, Subscription>();
  lastSeen = new Map<string, number>();
  /** Calls carried out so far, by name. */
  readonly carriedOut: string[] = [];
  /** Set: every call fails with it when it is carried out. */
  failure: Error | undefined;
  /** Hold calls back until `step` or `stepAll`. */
  held = false;
  /** Hold back pages alone. */
  pagesHeld = false;
  readonly #calls: Call[] = [];
  #next = 1;
  #events: StoreEvents = {};
  #health: StoreHealth = { status: "ok" };

  async start(events: StoreEvents): Promise<void> {
    this.#events = events;
  }
  async stop(): Promise<void> {}
  health(): StoreHealth {
    return this.#health;
  }
  async checkHealth(): Promise<StoreHealth> {
    return this.#health;
  }

  /** Breaks the store, or mends it. */
  setAway(away: boolean): void {
    const error = away ? new StoreUnavailableError("The store was switched off by the test.") : undefined;
    this.failure = error;
    this.#health = error === undefined ? { status: "ok" } : { status: "error", error };
    this.#events.healthChanged?.(this.#health);
  }

  get waiting(): readonly string[] {
    return this.#calls.map(({ name }) => name);
  }

  /** Carries out the oldest held call. Returns its name. */
  step(): string | undefined {
    const call = this.#calls.shift();
    call?.run();
    return call?.name;
  }

  stepAll(): void {
    while (this.step() !== undefined);
  }

  saveMessage(message: Message, packetId?: number): Promise<void> {
    return this.#call("saveMessage", () => {
      if (this.messages.some((stored) => stored.message.id === message.id)) return;
      this.messages.push({ position: this.#next++, message, packetId });
    });
  }

  readPage({ topicFilter, after = "0", maxMessages }: PageRequest): Promise<Page> {
    return this.#call("readPage", () => {
      const matching = this.messages.filter(
        ({ position, message }) => position > Number(after) && topicMatches(topicFilter, message.topic),
      );
      const messages = matching
        .slice(0, maxMessages)
        .map(({ position, message }) => ({ position: String(position), message }));
      return matching.length > maxMessages ? { messages, next: messages.at(-1)?.position } : { messages };
    });
  }

  deleteMessages(keys: readonly MessageKey[]): Promise<void> {
    return this.#call("deleteMessages", () => {
      const ids = new Set(keys.map(({ id }) => id));
      this.messages = this.messages.filter(({ message }) => !ids.has(message.id));
    });
  }

  saveSubscription(subscription: Subscription): Promise<void> {
    return this.#call("saveSubscription", () => {
      this.subscriptions.set(`${subscription.clientId}\0${subscription.topicFilter}`, subscription);
    });
  }

  deleteSubscription(clientId: string, topicFilter: string): Promise<void> {
    return this.#call("deleteSubscription", () => {
      this.subscriptions.delete(`${clientId}\0${topicFilter}`);
    });
  }

  listSubscriptions(clientId: string): Promise<Subscription[]> {
    return this.#call("listSubscriptions", () =>
      [...this.subscriptions.values()].filter((subscription) => subscription.clientId === clientId),
    );
  }

  touchSubscriptions(clientIds: readonly string[], seenAt: number): Promise<void> {
    return this.#call("touchSubscriptions", () => {
      for (const clientId of clientIds) this.lastSeen.set(clientId, seenAt);
    });
  }

  listStaleClients(seenBefore: number, limit: number): Promise<string[]> {
    return this.#call("listStaleClients", () => {
      const clientIds = new Set([...this.subscriptions.values()].map(({ clientId }) => clientId));
      return [...clientIds].filter((clientId) => (this.lastSeen.get(clientId) ?? 0) < seenBefore).slice(0, limit);
    });
  }

  isPosition(text: string): boolean {
    return /^\d+$/.test(text);
  }

  readMessage(id: MessageId): Promise<Message | undefined> {
    return this.#call("readMessage", () => this.messages.find(({ message }) => message.id === id)?.message);
  }

  findStored(keys: readonly MessageKey[]): Promise<MessageId[]> {
    return this.#call("findStored", () => {
      const ids = new Set(keys.map(({ id }) => id));
      return this.messages.map(({ message }) => message.id).filter((id) => ids.has(id));
    });
  }

  listClients(after: string, limit: number): Promise<string[]> {
    return this.#call("listClients", () => {
      const clientIds = new Set([...this.subscriptions.values()].map(({ clientId }) => clientId));
      return [...clientIds]
        .filter((clientId) => clientId > after)
        .sort()
        .slice(0, limit);
    });
  }

  listTopics(): Promise<TopicsPage> {
    return this.#call("listTopics", () => ({ topics: [] }));
  }

  totals(): Promise<StoreTotals> {
    return this.#call("totals", () => ({ messages: this.messages.length, bytes: 0 }));
  }

  lastMessageId(): Promise<MessageId | undefined> {
    return this.#call("lastMessageId", () =>
      this.messages
        .map(({ message }) => message.id)
        .sort()
        .at(-1),
    );
  }

  listPacketIds(after: MessageId, limit: number): Promise<PacketIdOfMessage[]> {
    return this.#call("listPacketIds", () =>
      this.messages
        .flatMap(({ message, packetId }) =>
          packetId !== undefined && message.id > after ? [{ message, packetId }] : [],
        )
        .slice(0, limit),
    );
  }

  purge(topicFilter: string, limit: number): Promise<number> {
    return this.#remove("purge", limit, ({ topic }) => topicMatches(topicFilter, topic));
  }

  expire(now: number, limit: number): Promise<number> {
    return this.#remove("expire", limit, ({ expiresAt = Number.POSITIVE_INFINITY }) => expiresAt <= now);
  }

  #remove(name: string, limit: number, which: (message: Message) => boolean): Promise<number> {
    return this.#call(name, () => {
      const gone = new Set(this.messages.filter(({ message }) => which(message)).slice(0, limit));
      this.messages = this.messages.filter((stored) => !gone.has(stored));
      return gone.size;
    });
  }

  #call<Result>(name: string, carryOut: () => Result): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const run = (): void => {
      this.carriedOut.push(name);
      if (this.failure !== undefined) reject(this.failure);
      else resolve(carryOut());
    };
    if (this.held || (this.pagesHeld && name === "readPage")) this.#calls.push({ name, run });
    else setImmediate(run);
    return promise;
  }
}
