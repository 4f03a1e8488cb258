// Messages for store tests, with rising ids, and ways to read stores to their end.

import type { Message } from "../../src/mqtt/message.ts";
import { type MessageId, MessageIdGenerator } from "../../src/mqtt/message-id.ts";
import type { MessageKey, Store, StoredMessage, TopicSummary } from "../../src/store/store.ts";

const ids = new MessageIdGenerator();

/** An id above all others that this process has made, and new to a store as those of real messages are. */
export function nextId(): MessageId {
  return ids.next();
}

export function sampleMessage(topic: string, payload: string | Uint8Array = "", rest: Partial<Message> = {}): Message {
  return {
    id: nextId(),
    from: "publisher",
    topic,
    qos: 1,
    retain: false,
    payload: typeof payload === "string" ? Buffer.from(payload) : payload,
    timestamp: Date.now(),
    ...rest,
  };
}

/** `count` messages with payloads 0, 1, 2 … */
export function sampleMessages(topic: string, count: number): Message[] {
  return Array.from({ length: count }, (_, index) => sampleMessage(topic, String(index)));
}

export async function saveAll(store: Store, messages: readonly Message[]): Promise<void> {
  await Promise.all(messages.map((message) => store.saveMessage(message)));
}

/** Empty pages in a row that a store may give while it looks for the next match. */
const MAX_EMPTY_PAGES = 10_000;

/** Reads pages up to the end. */
export async function readAll(
  store: Store,
  topicFilter: string,
  { maxMessages = 100, maxBytes = 1_000_000 } = {},
): Promise<StoredMessage[]> {
  const found: StoredMessage[] = [];
  let after: string | undefined;
  let empty = 0;
  for (;;) {
    const page = await store.readPage({
      topicFilter,
      maxMessages,
      maxBytes,
      ...(after === undefined ? {} : { after }),
    });
    if (page.messages.length > maxMessages)
      throw new Error(`a page of ${page.messages.length}, asked for ${maxMessages}`);
    found.push(...page.messages);
    if (page.next === undefined) return found;
    if (page.next === after) throw new Error(`the page after ${after} leads back to itself`);
    empty = page.messages.length === 0 ? empty + 1 : 0;
    if (empty > MAX_EMPTY_PAGES) throw new Error("empty pages without end");
    after = page.next;
  }
}

/** Lists topics up to the end, in pages of `limit`. */
export async function listAll(store: Store, request: { topicFilter: string; limit: number }): Promise<TopicSummary[]> {
  const found: TopicSummary[] = [];
  let after: string | undefined;
  for (;;) {
    const { topics, next } = await store.listTopics({ ...request, ...(after === undefined ? {} : { after }) });
    if (topics.length > request.limit) throw new Error(`a page of ${topics.length}, asked for ${request.limit}`);
    found.push(...topics.map((summary) => ({ ...summary })));
    if (next === undefined) return found;
    if (next === after) throw new Error(`the page after ${after} leads back to itself`);
    after = next;
  }
}

/** The payloads that match a filter, as texts. */
export async function payloads(store: Store, topicFilter: string, maxMessages?: number): Promise<string[]> {
  const found = await readAll(store, topicFilter, maxMessages === undefined ? {} : { maxMessages });
  return found.map(({ message }) => textOf(message));
}

/** The topics that match a filter, one for each message. */
export async function topics(store: Store, topicFilter: string): Promise<string[]> {
  return (await readAll(store, topicFilter)).map(({ message }) => message.topic);
}

export function textOf({ payload }: Message): string {
  return Buffer.from(payload).toString();
}

export function keyOf({ id, topic }: Message): MessageKey {
  return { id, topic };
}

/** A message with a payload that compares whatever class of bytes it is. */
export function comparable(message: Message): unknown {
  const { properties } = message;
  return {
    ...message,
    payload: Buffer.from(message.payload),
    ...(properties?.correlationData === undefined
      ? {}
      : { properties: { ...properties, correlationData: Buffer.from(properties.correlationData) } }),
  };
}

export const silentLogger = { debug() {}, info() {}, warn() {}, error() {} };
