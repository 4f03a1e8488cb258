// Reads the entries of all topics that match a filter, merged into publish order, up to a bounded number of them.

import { type Reply, scoredMembers } from "../command.ts";
import type { IndexEntry, RedisContext } from "../context.ts";
import { matchingTopics } from "./walk-topics.ts";

/** Entries read ahead at once. */
export const MAX_ENTRIES = 2_048;
/** Of each topic, where many match. */
const MIN_ENTRIES_PER_TOPIC = 16;
/** Topics in one round trip. */
const TOPICS_PER_STEP = 512;

export interface Entry extends IndexEntry {
  readonly score: number;
}

/** A place in the order of the entries: by score, then by id as text, as Redis has it. */
export interface EntryPosition {
  readonly score: number;
  readonly id62: string;
}

export interface Entries {
  /** In order. */
  readonly entries: readonly Entry[];
  /** No entry was stored after these when they were read. */
  readonly complete: boolean;
}

export function compareEntries(a: EntryPosition, b: EntryPosition): number {
  if (a.score !== b.score) return a.score - b.score;
  return a.id62 < b.id62 ? -1 : a.id62 > b.id62 ? 1 : 0;
}

/** The entries after a position. Throws the error of Redis or the connection. */
export async function readEntries(
  context: RedisContext,
  topicFilter: string,
  after: EntryPosition | undefined,
): Promise<Entries> {
  let entries: Entry[] = [];
  /** Entries after this one may be missing. */
  let cut: EntryPosition | undefined;
  for await (const topics of matchingTopics(context, topicFilter)) {
    const perTopic = Math.max(MIN_ENTRIES_PER_TOPIC, Math.ceil(MAX_ENTRIES / topics.length));
    for (let start = 0; start < topics.length; start += TOPICS_PER_STEP) {
      const step = topics.slice(start, start + TOPICS_PER_STEP);
      for (const { found, last } of await readTopics(context, step, after, perTopic)) {
        for (const entry of found) entries.push(entry);
        if (last !== undefined && (cut === undefined || compareEntries(last, cut) < 0)) cut = last;
      }
      if (entries.length > MAX_ENTRIES) {
        entries = inOrder(entries);
        if (entries.length > MAX_ENTRIES) {
          entries.length = MAX_ENTRIES;
          const last = entries.at(-1) as Entry;
          if (cut === undefined || compareEntries(last, cut) < 0) cut = last;
        }
      }
    }
  }
  entries = inOrder(entries);
  if (cut === undefined) return { entries, complete: true };
  const end = cut;
  return { entries: entries.filter((entry) => compareEntries(entry, end) <= 0), complete: false };
}

/** Sorts, and drops what came twice because its topic did. */
function inOrder(entries: Entry[]): Entry[] {
  entries.sort(compareEntries);
  return entries.filter((entry, at) => entry.id62 !== entries[at - 1]?.id62);
}

interface TopicEntries {
  readonly found: readonly Entry[];
  /** The last one that was read, when there may be more. */
  readonly last?: EntryPosition;
}

async function readTopics(
  context: RedisContext,
  topics: readonly string[],
  after: EntryPosition | undefined,
  limit: number,
): Promise<TopicEntries[]> {
  const from = after === undefined ? "-inf" : after.score;
  const replies = await context.send(
    topics.map(
      (topic) =>
        [
          ...["ZRANGE", context.keys.topic(topic), from, "+inf", "BYSCORE", "LIMIT", 0, limit, "WITHSCORES"],
        ] as unknown as readonly [string, ...(string | number)[]],
    ),
  );
  return Promise.all(
    topics.map(async (topic, at) => {
      const read = entriesOf(topic, replies[at]);
      const found = after === undefined ? read : read.filter((entry) => compareEntries(entry, after) > 0);
      // All that was read has the score of the position: there are more with this one score than the limit.
      if (found.length === 0 && read.length === limit) {
        return (await readTopics(context, [topic], after, limit * 2))[0] as TopicEntries;
      }
      const last = read.length === limit ? read.at(-1) : undefined;
      return { found, ...(last === undefined ? undefined : { last }) };
    }),
  );
}

/** A key that holds something else than a topic's entries has none. */
function entriesOf(topic: string, reply: Reply | undefined): Entry[] {
  if (reply instanceof Error && reply.message.startsWith("WRONGTYPE")) return [];
  return scoredMembers(reply).map(({ member, score }) => ({ id62: member, topic, score }));
}
