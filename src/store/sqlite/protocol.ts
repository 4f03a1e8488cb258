// What travels between the store and its worker thread: requests, batches of them, and replies.

import type { MessageId } from "../../mqtt/message-id.ts";
import type { Subscription } from "../../mqtt/subscription.ts";
import type { MessageColumns } from "../../sqlite/message-columns.ts";
import type { Problem } from "../../sqlite/problem.ts";
import type { STOP } from "../../sqlite/worker-link.ts";
import type { StoreTotals, TopicSummary } from "../store.ts";

export interface PageColumns {
  readonly messages: MessageColumns;
  /** Row ids. */
  readonly positions: Float64Array<ArrayBuffer>;
  /** Row id to read on after; absent: nothing more. */
  readonly next?: number;
}

export interface DeleteMessages {
  readonly kind: "deleteMessages";
  readonly ids: readonly string[];
}
export interface SaveSubscription {
  readonly kind: "saveSubscription";
  readonly subscription: Subscription;
  readonly seenAt: number;
}
export interface DeleteSubscription {
  readonly kind: "deleteSubscription";
  readonly clientId: string;
  readonly topicFilter: string;
}
export interface TouchSubscriptions {
  readonly kind: "touchSubscriptions";
  readonly clientIds: readonly string[];
  readonly seenAt: number;
}
export interface Purge {
  readonly kind: "purge";
  readonly topicFilter: string;
  /** Topics up to and including this one are done. */
  readonly after?: string;
  readonly limit: number;
}
export interface Expire {
  readonly kind: "expire";
  readonly now: number;
  readonly limit: number;
}
export interface ReadPage {
  readonly kind: "readPage";
  readonly topicFilter: string;
  readonly after: number;
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly now: number;
}
export interface ReadMessage {
  readonly kind: "readMessage";
  readonly id: MessageId;
  readonly now: number;
}
export interface FindStored {
  readonly kind: "findStored";
  readonly ids: readonly MessageId[];
}
export interface ListSubscriptions {
  readonly kind: "listSubscriptions";
  readonly clientId: string;
}
export interface ListClients {
  readonly kind: "listClients";
  readonly after: string;
  readonly limit: number;
}
export interface ListStaleClients {
  readonly kind: "listStaleClients";
  readonly seenBefore: number;
  readonly limit: number;
}
export interface ListTopics {
  readonly kind: "listTopics";
  readonly topicFilter: string;
  readonly after?: string;
  readonly limit: number;
}
export interface Totals {
  readonly kind: "totals";
}
export interface LastMessageId {
  readonly kind: "lastMessageId";
}
export interface PacketIdColumns extends PageColumns {
  /** Of the messages, in their order. */
  readonly packetIds: readonly number[];
}

export interface ListPacketIds {
  readonly kind: "listPacketIds";
  readonly after: MessageId;
  readonly limit: number;
}
export interface CheckHealth {
  readonly kind: "checkHealth";
}

export type WriteRequest = DeleteMessages | SaveSubscription | DeleteSubscription | TouchSubscriptions | Purge | Expire;
export type ReadRequest =
  | ReadPage
  | ReadMessage
  | FindStored
  | ListSubscriptions
  | ListClients
  | ListStaleClients
  | ListTopics
  | Totals
  | LastMessageId
  | ListPacketIds
  | CheckHealth;

/** The answer to `purge` and `expire`: one bounded step of the work. */
export interface SweepStep {
  readonly removed: number;
  /** Absent: nothing is left to look at. Present: go on, for a purge after this topic. */
  readonly after?: string;
}

/** The answer to `listTopics`: one bounded step of the work. */
export interface TopicsStep {
  readonly topics: readonly TopicSummary[];
  /** Absent: there are no more topics to look at. */
  readonly after?: string;
}

export interface FoundMessageId {
  readonly id: MessageId | undefined;
}

export type Result =
  | PageColumns
  | PacketIdColumns
  | Subscription[]
  | string[]
  | TopicsStep
  | StoreTotals
  | SweepStep
  | FoundMessageId;

export interface BatchMessage {
  readonly kind: "batch";
  /** `monotonicTime` by which the oldest call has to be settled. */
  readonly deadline: number;
  /** The messages to save, in order. */
  readonly messages: MessageColumns;
  /** The Packet Identifiers to save with them; 0: none. */
  readonly packetIds: Uint16Array<ArrayBuffer>;
  /** In the order of the calls; null stands for the next of `messages`. Writes come before reads. */
  readonly requests: readonly (WriteRequest | ReadRequest | null)[];
}

export type ToWorker = BatchMessage | typeof STOP;

export interface Reply {
  /** `done`: each request has its result or failure. `locked`: nothing was executed, because the database was locked. */
  readonly outcome: "done" | "locked";
  /** By index of the request. What is not named here succeeded. */
  readonly failures: readonly (readonly [index: number, problem: Problem])[];
  readonly results: readonly (readonly [index: number, result: Result])[];
  /** Messages removed to make room. */
  readonly dropped: number;
  /** What keeps the database from working; absent when it works. */
  readonly health?: Problem;
}
