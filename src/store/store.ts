// The Store: what the plugin needs of a database, in the words of messages and subscriptions.
//
// No connection, transaction, key or SQL leaks through. Left out on purpose: queries by payload or time, changes to a
// stored message, and any notion of who is connected. One conformance suite (test/store/) runs against every store.

import type { Message } from "../mqtt/message.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import type { Subscription } from "../mqtt/subscription.ts";
import type { StoreError } from "./errors.ts";

/** Where a stored message stands in its store's publish order. Only the store that gave it can read it. */
export type Position = string;

export interface StoredMessage {
  readonly message: Message;
  readonly position: Position;
}

/** Names a stored message. Some stores need the topic to find its index entry. */
export interface MessageKey {
  readonly id: MessageId;
  readonly topic: string;
}

/** A stored QoS 2 message that was saved with its Packet Identifier. */
export interface PacketIdOfMessage {
  readonly message: Message;
  readonly packetId: number;
}

export interface PageRequest {
  /** A Topic Filter without `$share`; wildcards allowed. Matching is exact, and `#` or `+` first never match `$…`. */
  readonly topicFilter: string;
  /** Messages after this position; absent: from the oldest. */
  readonly after?: Position;
  /** At most this many messages (1 or more). */
  readonly maxMessages: number;
  /** Stop adding messages once their payloads reach this many bytes; the first message is returned whatever its size. */
  readonly maxBytes: number;
}

export interface Page {
  /** In publish order; expired ones are left out. */
  readonly messages: readonly StoredMessage[];
  /** Where to read on, also when this page is empty; absent: nothing matching was stored after it when the page was read. */
  readonly next?: Position;
}

export interface TopicSummary {
  readonly topic: string;
  readonly messages: number;
  /** Sum of payload sizes in bytes. */
  readonly bytes: number;
  /** When the first and the last of them were published, in ms since the epoch; absent: the store does not tell. */
  readonly oldest?: number;
  readonly newest?: number;
}

export interface TopicsPage {
  /** In the store's own order. */
  readonly topics: readonly TopicSummary[];
  /** The topic to go on after, also when this page has fewer than asked for; absent: there are no others. */
  readonly next?: string;
}

export interface TopicsRequest {
  readonly topicFilter: string;
  /** Topics after this one in the store's own order; absent: from the first. */
  readonly after?: string;
  readonly limit: number;
}

export interface StoreTotals {
  readonly messages: number;
  readonly bytes: number;
}

export interface StoreHealth {
  readonly status: "ok" | "error";
  /** The cause in words, when the status is `error`. */
  readonly error?: StoreError;
}

export interface StoreEvents {
  /** Called when the health changes, not for each failing call. */
  healthChanged?(health: StoreHealth): void;
  /**
   * While the health is `error`: a server that could not be reached is there by now, and this keeps it from working, which lasts
   * until somebody does something. At most once for each time that the health becomes `error`.
   */
  causeFound?(error: StoreError): void;
  /** Messages removed to make room (`overflow = "drop_oldest"`). */
  dropped?(messages: number): void;
  /** A subscription was not stored, since the store cannot tell it from another one. */
  collided?(): void;
}

/**
 * Calls may overlap; writes of concurrent calls share a round trip or transaction, and take effect in the order of the
 * calls. Every call settles within the store timeout. Errors: `StoreUnavailableError`, `StoreTooLargeError`,
 * `StoreLimitError`, `StoreInvalidError`, `StoreTopicNeededError`.
 */
export interface Store {
  /** Opens the store. A database that cannot be reached is no error here: health says so and calls fail until it can. */
  start(events: StoreEvents): Promise<void>;
  /** Finishes what was begun and closes the store. */
  stop(): Promise<void>;
  /** The health as of the last call, without a round trip. */
  health(): StoreHealth;
  /** Asks the database now. Never rejects. */
  checkHealth(): Promise<StoreHealth>;

  /**
   * Settles when the message is durable. Saving an id that is stored already changes nothing. The Packet Identifier of
   * a QoS 2 publish is saved in the same transaction, by stores that have room for it.
   */
  saveMessage(message: Message, packetId?: number): Promise<void>;
  /** Up to `limit` stored messages above this id that have a Packet Identifier, lowest id first. */
  listPacketIds(after: MessageId, limit: number): Promise<PacketIdOfMessage[]>;
  readPage(request: PageRequest): Promise<Page>;
  /** Whether a text can be a position of this store: one that comes from outside may be anything. */
  isPosition(text: string): boolean;
  /**
   * One message; undefined: it is not stored, or has expired. Rejects with `StoreTopicNeededError` where the store cannot find
   * it without its topic.
   */
  readMessage(id: MessageId, topic?: string): Promise<Message | undefined>;
  /** Which of these are stored, in any order. */
  findStored(keys: readonly MessageKey[]): Promise<MessageId[]>;
  /** Ids that are not stored are passed over. Settles when the removal is durable. */
  deleteMessages(keys: readonly MessageKey[]): Promise<void>;

  /** Adds or replaces. */
  saveSubscription(subscription: Subscription): Promise<void>;
  /** A subscription that is not stored is no error. */
  deleteSubscription(clientId: string, topicFilter: string): Promise<void>;
  listSubscriptions(clientId: string): Promise<Subscription[]>;
  /** Clients with subscriptions after this one, in the store's own order; undefined: the store cannot tell which there are. */
  listClients(after: string, limit: number): Promise<string[] | undefined>;
  /** Notes that these clients were connected at this time (ms since the epoch), for `subscription_ttl`. */
  touchSubscriptions(clientIds: readonly string[], seenAt: number): Promise<void>;
  /** Up to `limit` clients that have subscriptions and were last seen before this time (ms since the epoch). */
  listStaleClients(seenBefore: number, limit: number): Promise<string[]>;

  /** Counts by topic, one page of topics. */
  listTopics(request: TopicsRequest): Promise<TopicsPage>;
  totals(): Promise<StoreTotals>;
  /** The highest id stored; undefined when nothing is. New ids have to be above it to keep the publish order. */
  lastMessageId(): Promise<MessageId | undefined>;
  /** Removes up to `limit` messages that match the filter; returns how many went (fewer than `limit`: none is left). */
  purge(topicFilter: string, limit: number): Promise<number>;
  /** Removes up to `limit` messages older than `message_ttl` or past their own expiry; returns how many went. */
  expire(now: number, limit: number): Promise<number>;
}
