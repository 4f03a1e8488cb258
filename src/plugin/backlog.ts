// What is stored and waits, for whoever looks after it: topics and messages, subscriptions, and how far replays have come.
//
// Removals go through the plugin, so that pages which were read already do not deliver what was removed. What a client is being
// sent at that moment it may still acknowledge, which changes nothing.

import type { Message } from "../mqtt/message.ts";
import { type MessageId, timestampOf } from "../mqtt/message-id.ts";
import type { Subscription } from "../mqtt/subscription.ts";
import { StoreInvalidError } from "../store/errors.ts";
import type { MessageKey, Page, PageRequest, Store, TopicsPage, TopicsRequest } from "../store/store.ts";
import type { Removals } from "./removals.ts";
import type { ReplayClient } from "./replay-client.ts";
import type { ClientReplays, ReplaysPage } from "./replay-state.ts";
import type { Replays } from "./replays.ts";
import type { RestoredSubscriptions } from "./restored-subscriptions.ts";
import type { SubscriptionWriter } from "./subscription-writer.ts";

/** Messages that a purge reads and removes at once, and bytes of their payloads. */
const PURGE_PAGE = { maxMessages: 512, maxBytes: 4 * 1024 * 1024 };
/** Topics that are counted at once. */
const TOPICS = 1_000;
/** How far ahead of the clock an id may be, in ms: all later messages get ids above it. */
const MAX_AHEAD = 24 * 60 * 60 * 1_000;

export interface BacklogParts {
  readonly store: Store;
  readonly removals: Removals;
  readonly writer: SubscriptionWriter;
  readonly restored: RestoredSubscriptions;
  readonly replays: Replays;
  readonly clients: ReadonlyMap<string, ReplayClient>;
  /** In seconds; 0: messages do not expire by age. */
  readonly messageTtl: number;
  /** Messages that are published from now on get ids above this one. Throws `MessageIdError` where none is left above it. */
  readonly giveIdsAbove: (id: MessageId) => void;
}

/** What was counted or removed. */
export interface BacklogTotals {
  readonly messages: number;
  /** Of payload. */
  readonly bytes: number;
  /** Nothing that matches was left out, or is left. */
  readonly complete: boolean;
}

/** What became of a message that was to be added; an error: it is not stored, and why. */
export type AddOutcome = "stored" | "already stored" | "expired" | Error;

/** Calls that ask the store reject with `StoreError`. */
export class Backlog {
  readonly #parts: BacklogParts;

  constructor(parts: BacklogParts) {
    this.#parts = parts;
  }

  listTopics(request: TopicsRequest): Promise<TopicsPage> {
    return this.#parts.store.listTopics(request);
  }

  /** Whether a text can be a position in the store. */
  isPosition(text: string): boolean {
    return this.#parts.store.isPosition(text);
  }

  /** What was removed is left out, so that a page may have fewer messages than asked for. */
  async readPage(request: PageRequest): Promise<Page> {
    const { store, removals } = this.#parts;
    const page = await store.readPage(request);
    return { ...page, messages: page.messages.filter(({ message }) => !removals.has(message.id)) };
  }

  /** Undefined: it is not stored. */
  async readMessage(id: MessageId, topic?: string): Promise<Message | undefined> {
    const { store, removals } = this.#parts;
    return removals.has(id) ? undefined : store.readMessage(id, topic);
  }

  /** Settles when the removal is durable. Returns whether the message was stored. */
  async remove(id: MessageId, topic?: string): Promise<boolean> {
    const message = await this.readMessage(id, topic);
    if (message === undefined) return false;
    await this.#parts.removals.remove([{ id, topic: message.topic }]);
    return true;
  }

  /** Counts what matches, topic by topic, for as long as `mayGoOn` says so. */
  async count(topicFilter: string, mayGoOn: () => boolean): Promise<BacklogTotals> {
    let messages = 0;
    let bytes = 0;
    let after: string | undefined;
    do {
      if (!mayGoOn()) return { messages, bytes, complete: false };
      const page: TopicsPage = await this.listTopics({ topicFilter, limit: TOPICS, ...since(after) });
      for (const topic of page.topics) {
        messages += topic.messages;
        bytes += topic.bytes;
      }
      after = page.next;
    } while (after !== undefined);
    return { messages, bytes, complete: true };
  }

  /** Removes up to `limit` messages that match, oldest first, page by page, for as long as `mayGoOn` says so. */
  async purge(topicFilter: string, limit: number, mayGoOn: () => boolean): Promise<BacklogTotals> {
    const { store, removals } = this.#parts;
    let messages = 0;
    let bytes = 0;
    let after: string | undefined;
    do {
      const maxMessages = Math.min(PURGE_PAGE.maxMessages, limit - messages);
      if (!mayGoOn() || maxMessages <= 0) return { messages, bytes, complete: false };
      const page: Page = await store.readPage({ topicFilter, ...PURGE_PAGE, maxMessages, ...since(after) });
      const found = page.messages.slice(0, maxMessages).map(({ message }) => message);
      await removals.remove(found.map(keyOf));
      messages += found.length;
      for (const { payload } of found) bytes += payload.length;
      after = page.next;
    } while (after !== undefined);
    // A store without pages gives a part as if it were all, and a template of the user's may not remove.
    const rest = await store.readPage({ topicFilter, ...PURGE_PAGE, maxMessages: 1 });
    return { messages, bytes, complete: rest.messages.length === 0 };
  }

  /**
   * Stores messages under their ids, in their order and behind what is stored. They are not routed: subscriptions get them
   * when they catch up the next time. What became of each, by its place.
   */
  async add(messages: readonly Message[]): Promise<AddOutcome[]> {
    const { store, removals } = this.#parts;
    const stored = new Set(await store.findStored(messages.map(keyOf)));
    removals.forget(messages.map(({ id }) => id).filter((id) => !stored.has(id)));
    const underWay = new Map<MessageId, Promise<AddOutcome>>();
    return Promise.all(
      messages.map(async (message): Promise<AddOutcome> => {
        if (stored.has(message.id)) return "already stored";
        const twin = underWay.get(message.id);
        if (twin !== undefined) return twin.then((outcome) => (outcome === "stored" ? "already stored" : outcome));
        const added = this.#add(message);
        underWay.set(message.id, added);
        return added;
      }),
    );
  }

  async #add(message: Message): Promise<AddOutcome> {
    if (this.#deathOf(message) <= Date.now()) return "expired";
    try {
      this.#reserve(message.id);
      await this.#parts.store.saveMessage(message);
      return "stored";
    } catch (error) {
      return error as Error;
    }
  }

  #deathOf({ timestamp, expiresAt = Number.POSITIVE_INFINITY }: Message): number {
    const { messageTtl } = this.#parts;
    return messageTtl > 0 ? Math.min(expiresAt, timestamp + messageTtl * 1_000) : expiresAt;
  }

  /** Throws for an id that new ones cannot, or should not, be above of. */
  #reserve(id: MessageId): void {
    if (Number(timestampOf(id) / 1_000n) > Date.now() + MAX_AHEAD) {
      throw new StoreInvalidError(`The message id ${id} is of a time to come: see to the clock of where it was made.`);
    }
    this.#parts.giveIdsAbove(id);
  }

  /** A client's stored subscriptions. */
  listSubscriptions(clientId: string): Promise<Subscription[]> {
    return this.#parts.restored.list(clientId);
  }

  /** Settles when it is durable. What a session holds it holds still. Returns whether the subscription was stored. */
  async removeSubscription(clientId: string, topicFilter: string): Promise<boolean> {
    const { restored, writer } = this.#parts;
    const stored = await this.listSubscriptions(clientId);
    if (!stored.some((subscription) => subscription.topicFilter === topicFilter)) return false;
    await writer.remove(clientId, topicFilter);
    restored.unsubscribed(clientId, topicFilter);
    return true;
  }

  /** Clients with stored subscriptions; undefined: the store cannot tell. */
  listClients(after: string, limit: number): Promise<string[] | undefined> {
    return this.#parts.store.listClients(after, limit);
  }

  /** Undefined: the client is not connected. */
  replaysOf(clientId: string): ClientReplays | undefined {
    const client = this.#parts.clients.get(clientId);
    if (client === undefined) return undefined;
    const { outstanding, receiveMaximum } = client;
    return { inflight: outstanding, receiveMaximum, replays: this.#parts.replays.statesOf(clientId) };
  }

  /** Those that catch up, a page of them. */
  replaysCatchingUp(after: string, limit: number): ReplaysPage {
    return this.#parts.replays.catchingUp(after, limit);
  }
}

function keyOf({ id, topic }: Message): MessageKey {
  return { id, topic };
}

function since(after: string | undefined): { after?: string } {
  return after === undefined ? {} : { after };
}
