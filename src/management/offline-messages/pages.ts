// Pages of topics and messages, bounded in number, bytes and time: what a page has left out, the next one begins with.

import type { Message } from "../../mqtt/message.ts";
import { messageBytes } from "../../mqtt/message-size.ts";
import type { Backlog } from "../../plugin/backlog.ts";
import type { TopicSummary } from "../../store/store.ts";
import { PAGE_BYTES, TIME_LIMIT } from "./request-parts.ts";
import { asked } from "./running-backlog.ts";

/** Topics, and messages, that are asked for at once. */
const TOPICS_STEP = 500;
const MESSAGES_STEP = 250;
/** Bytes of payloads that are asked for at once. */
const STEP_BYTES = 1024 * 1024;

export interface TopicsRequest {
  readonly topicFilter: string;
  readonly limit: number;
  /** Empty: from the first. */
  readonly after: string;
}

export interface MessagesRequest {
  readonly topicFilter: string;
  readonly limit: number;
  readonly after: string | undefined;
  /** Bytes of all payloads; the first message is there whatever its size. */
  readonly maxPayloadBytes: number;
}

/** `next`: what to go on after; absent: there are no others. Rejects with `ApiError` where the store is away. */
export async function topicsPage(
  backlog: Backlog,
  { topicFilter, limit, after }: TopicsRequest,
): Promise<{ topics: readonly TopicSummary[]; next?: string }> {
  const end = performance.now() + TIME_LIMIT;
  const found: TopicSummary[] = [];
  let bytes = 0;
  for (let next = after; ; ) {
    const wanted = Math.min(TOPICS_STEP, limit - found.length);
    const request = { topicFilter, limit: wanted, ...(next === "" ? undefined : { after: next }) };
    const page = await asked(backlog.listTopics(request));
    found.push(...page.topics);
    for (const { topic } of page.topics) bytes += topic.length;
    if (page.next === undefined) return { topics: found };
    next = page.next;
    const isFull = found.length >= limit || bytes >= PAGE_BYTES;
    if (isFull || performance.now() >= end) return { topics: found, next };
  }
}

/** `start` is the position of the first. As `topicsPage`. */
export async function messagesPage(
  backlog: Backlog,
  { topicFilter, limit, after, maxPayloadBytes }: MessagesRequest,
): Promise<{ messages: readonly Message[]; start?: string; next?: string }> {
  const end = performance.now() + TIME_LIMIT;
  const found: Message[] = [];
  let start: string | undefined;
  let payloadBytes = 0;
  let bytes = 0;
  for (let next = after; ; ) {
    const maxMessages = Math.min(MESSAGES_STEP, limit - found.length);
    const maxBytes = Math.min(STEP_BYTES, Math.max(1, maxPayloadBytes - payloadBytes));
    const request = { topicFilter, maxMessages, maxBytes, ...(next === undefined ? undefined : { after: next }) };
    const page = await asked(backlog.readPage(request));
    for (const { message, position } of page.messages) {
      const isFull = payloadBytes + message.payload.length > maxPayloadBytes || bytes >= PAGE_BYTES;
      if (found.length > 0 && (isFull || found.length >= limit)) return { messages: found, start, next };
      start ??= position;
      found.push(message);
      payloadBytes += message.payload.length;
      bytes += messageBytes(message);
      next = position;
    }
    if (page.next === undefined) return { messages: found, start };
    next = page.next;
    const isFull = found.length >= limit || payloadBytes >= maxPayloadBytes || bytes >= PAGE_BYTES;
    if (isFull || performance.now() >= end) return { messages: found, start, next };
  }
}
