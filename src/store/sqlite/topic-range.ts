// The stored topics that a filter can match, as a range of table mqtt_topic, and those of the range that it does match.
//
// Topics are compared byte by byte in UTF-8, so all that begin with `a/b/` lie from `a/b/` up to `a/b0`: `0` is the
// character after `/`. A filter that ends in `/#` matches the level above as well, which lies before that range.

import { topicMatches } from "../../mqtt/topic.ts";
import type { Database } from "./database.ts";

const SELECT_TOPIC = "SELECT topic, messages, bytes FROM mqtt_topic WHERE topic = ?";
const SELECT_TOPICS_FROM = `
SELECT topic, messages, bytes FROM mqtt_topic WHERE topic >= ? AND topic < ? ORDER BY topic LIMIT ?`;
const SELECT_TOPICS_AFTER = `
SELECT topic, messages, bytes FROM mqtt_topic WHERE topic > ? AND topic < ? ORDER BY topic LIMIT ?`;

/** Every text is less than every blob. */
const ABOVE_ALL_TOPICS = new Uint8Array(0);

export type TopicRow = [topic: string, messages: number, bytes: number];

export interface TopicStep {
  /** Those that match, in order. */
  readonly topics: TopicRow[];
  /** The topic to read on after; absent: the range is at its end. */
  readonly after?: string;
}

/** Looks at the topics of a filter's range after a topic, about `limit` of them; returns those that match. */
export function matchingTopics(
  database: Database,
  filter: string,
  after: string | undefined,
  limit: number,
): TopicStep {
  const isAfter = (topic: string) => after === undefined || compareTopics(topic, after) > 0;
  const wildcard = filter.search(/[+#]/);
  if (wildcard === -1) return { topics: isAfter(filter) ? database.rows<TopicRow>(SELECT_TOPIC, filter) : [] };

  // The wildcard is a whole level, so what stands before it is empty or ends with a slash.
  const prefix = filter.slice(0, wildcard);
  const parent = filter[wildcard] === "#" ? prefix.slice(0, -1) : "";
  const end = prefix === "" ? ABOVE_ALL_TOPICS : `${prefix.slice(0, -1)}0`;
  const topics: TopicRow[] = [];
  if (parent !== "" && isAfter(parent)) topics.push(...database.rows<TopicRow>(SELECT_TOPIC, parent));
  const rows =
    after === undefined || isAfter(prefix)
      ? database.rows<TopicRow>(SELECT_TOPICS_FROM, prefix, end, limit)
      : database.rows<TopicRow>(SELECT_TOPICS_AFTER, after, end, limit);
  for (const row of rows) if (topicMatches(filter, row[0])) topics.push(row);
  const last = rows.length < limit ? undefined : rows[rows.length - 1]?.[0];
  return last === undefined ? { topics } : { topics, after: last };
}

/** The order of SQLite's BINARY collation: bytes of UTF-8. */
function compareTopics(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
