// Counts the messages of topics. Redis keeps no counts that the store's rights could ask for, so the messages are read.

import { topicMatches } from "../../../mqtt/topic.ts";
import type { StoreTotals, TopicSummary, TopicsPage, TopicsRequest } from "../../store.ts";
import type { RedisContext } from "../context.ts";
import { type EntryPosition, readEntries } from "./read-entries.ts";
import { type PayloadSizes, readMessages } from "./read-messages.ts";
import { matchingTopics, walkTopics } from "./walk-topics.ts";

/** Payload bytes to read at once. */
const READ_BYTES = 4 * 1024 * 1024;
/** Messages at which a page of topics ends: each is read to be counted. */
const MAX_COUNTED = 20_000;

/** One page of topics with their counts, in the order of their UTF-16 units. Throws the error of Redis or the connection. */
export async function listTopics(
  context: RedisContext,
  sizes: PayloadSizes,
  { topicFilter, after, limit }: TopicsRequest,
): Promise<TopicsPage> {
  const found: TopicSummary[] = [];
  let from = after;
  let counted = 0;
  for (;;) {
    const wanted = limit - found.length;
    const topics = await nextTopics(context, topicFilter, from, wanted);
    for (const topic of topics) {
      const summary = await countTopic(context, sizes, topic);
      if (summary.messages > 0) found.push(summary);
      counted += summary.messages;
      from = topic;
      if (counted >= MAX_COUNTED) break;
    }
    const isLast = topics.length < wanted && (topics.length === 0 || from === topics.at(-1));
    if (isLast) return { topics: found };
    if (from !== undefined && (found.length === limit || counted >= MAX_COUNTED)) return { topics: found, next: from };
  }
}

/** Counts all messages, of every topic in the index. Throws the error of Redis or the connection. */
export async function countAll(context: RedisContext, sizes: PayloadSizes): Promise<StoreTotals> {
  const counted = new Set<string>();
  let messages = 0;
  let bytes = 0;
  for await (const step of walkTopics(context)) {
    for (const { member: topic } of step) {
      if (counted.has(topic)) continue;
      counted.add(topic);
      const totals = await countTopic(context, sizes, topic);
      messages += totals.messages;
      bytes += totals.bytes;
    }
  }
  return { messages, bytes };
}

/** The first topics after one, of those that match; no more of them are held at a time. */
async function nextTopics(
  context: RedisContext,
  topicFilter: string,
  after: string | undefined,
  limit: number,
): Promise<string[]> {
  let first: string[] = [];
  for await (const topics of matchingTopics(context, topicFilter)) {
    const later = topics.filter((topic) => (after === undefined || topic > after) && topicMatches(topicFilter, topic));
    first = [...new Set([...first, ...later])].sort().slice(0, limit);
  }
  return first;
}

async function countTopic(context: RedisContext, sizes: PayloadSizes, topic: string): Promise<TopicSummary> {
  let messages = 0;
  let bytes = 0;
  let oldest: number | undefined;
  let newest = 0;
  let after: EntryPosition | undefined;
  for (;;) {
    const { entries, complete } = await readEntries(context, topic, after);
    for (let at = 0; at < entries.length; ) {
      const step = entries.slice(at, at + sizes.hashesFor(READ_BYTES));
      at += step.length;
      for (const message of await readMessages(context, sizes, step)) {
        if (message === undefined) continue;
        messages++;
        bytes += message.payload.length;
        oldest ??= message.timestamp;
        newest = message.timestamp;
      }
    }
    after = entries.at(-1);
    if (complete || after === undefined) {
      return { topic, messages, bytes, ...(oldest === undefined ? undefined : { oldest, newest }) };
    }
  }
}
