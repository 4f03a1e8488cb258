// What is stored and waits: topics, messages, subscriptions, and who catches up.

import type { SubscriptionOptions } from "./clients.ts";
import { ask, open } from "./request.ts";

export interface CursorPage<T> {
  readonly data: readonly T[];
  readonly meta: {
    /** Where the next page begins; absent: there is none. */
    readonly position?: string;
    /** Of all pages, where it is known. */
    readonly count?: number;
  };
}

/** Times are in ms since the epoch. */
export interface Topic {
  readonly topic: string;
  readonly messages: number;
  /** Of payload. */
  readonly bytes: number;
  readonly oldest_publish_at?: number;
  readonly newest_publish_at?: number;
}

export interface Properties {
  readonly payload_format_indicator?: 0 | 1;
  readonly content_type?: string;
  readonly response_topic?: string;
  /** In base64. */
  readonly correlation_data?: string;
  readonly user_properties?: readonly { readonly key: string; readonly value: string }[];
}

export interface Message {
  readonly msgid: string;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  /** Told of stored messages only, as are expiry and properties. */
  readonly retain?: boolean;
  readonly from_clientid: string;
  readonly publish_at: number;
  readonly payload_size: number;
  /** Absent: it is asked for when it is to be seen. */
  readonly payload?: Uint8Array<ArrayBuffer>;
  readonly expires_at?: number;
  readonly properties?: Properties;
}

export interface Purged {
  readonly messages: number;
  readonly bytes: number;
  /** False: there are more. */
  readonly complete: boolean;
}

export interface Replay {
  /** Absent: of a shared subscription. */
  readonly clientid?: string;
  readonly topic: string;
  readonly status: "catching_up" | "live";
  readonly position?: string;
  readonly last_msgid?: string;
  readonly read_ahead: number;
}

const API = "/offline_messages";
/** Of a page. */
const LIMIT = 100;

/** A path with a query of what is given. */
function pathOf(path: string, query: Readonly<Record<string, string | number | undefined>> = {}): string {
  const given = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
  const text = new URLSearchParams(given).toString();
  return API + path + (text === "" ? "" : `?${text}`);
}

/** `topic`: a topic or a filter, here and below. */
export function listTopics(
  topic: string,
  position?: string,
  signal?: AbortSignal,
  limit = LIMIT,
): Promise<CursorPage<Topic>> {
  return ask({ path: pathOf("/topics", { topic, limit, position }), signal });
}

/** Without payloads. */
export function listMessages(topic: string, position?: string, signal?: AbortSignal): Promise<CursorPage<Message>> {
  return ask({ path: pathOf("/messages", { topic, limit: LIMIT, position, payload: "none" }), signal });
}

export async function getPayload({ msgid, topic }: Message, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const response = await open({ path: pathOf(`/messages/${msgid}/payload`, { topic }), signal });
  return new Uint8Array(await response.arrayBuffer());
}

export function deleteMessage({ msgid, topic }: Message): Promise<void> {
  return ask({ method: "DELETE", path: pathOf(`/messages/${msgid}`, { topic }) });
}

/** What a purge would remove. */
export function countMessages(topic: string, signal: AbortSignal): Promise<Purged> {
  return ask({ method: "POST", path: pathOf("/purge"), json: { topic }, signal });
}

/** Removes the oldest messages that match; where it is not complete, it has to be called again. */
export function purge(topic: string, signal: AbortSignal): Promise<Purged> {
  return ask({ method: "POST", path: pathOf("/purge"), json: { topic, dry_run: false }, signal });
}

export function listClients(
  position?: string,
  signal?: AbortSignal,
): Promise<CursorPage<{ readonly clientid: string }>> {
  return ask({ path: pathOf("/subscriptions", { limit: LIMIT, position }), signal });
}

export function listSubscriptions(clientId: string): Promise<SubscriptionOptions[]> {
  return ask({ path: pathOf(`/subscriptions/${encodeURIComponent(clientId)}`) });
}

export function deleteSubscription(clientId: string, topic: string): Promise<void> {
  return ask({ method: "DELETE", path: pathOf(`/subscriptions/${encodeURIComponent(clientId)}`, { topic }) });
}

/** The first page: subscriptions that catch up. */
export function listReplays(signal: AbortSignal): Promise<CursorPage<Replay>> {
  return ask({ path: pathOf("/replays", { limit: LIMIT }), signal });
}
