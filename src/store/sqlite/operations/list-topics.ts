// Counts by topic: one bounded step through the topics that a filter can match.

import type { TopicSummary } from "../../store.ts";
import { arrivedTime } from "../arrived.ts";
import type { Database } from "../database.ts";
import type { ListTopics, TopicsStep } from "../protocol.ts";
import { matchingTopics, type TopicRow } from "../topic-range.ts";

/** Topics looked at in one step. */
const TOPICS_PER_STEP = 4_096;

const SELECT_FIRST = "SELECT arrived FROM mqtt_msg WHERE topic = ? ORDER BY id LIMIT 1";
const SELECT_LAST = "SELECT arrived FROM mqtt_msg WHERE topic = ? ORDER BY id DESC LIMIT 1";

export function listTopics(database: Database, { topicFilter, after, limit }: ListTopics): TopicsStep {
  const step = matchingTopics(database, topicFilter, after, TOPICS_PER_STEP);
  const topics = step.topics.slice(0, limit).map((row) => summaryOf(database, row));
  const readOn = step.topics.length > limit ? topics[limit - 1]?.topic : step.after;
  return readOn === undefined ? { topics } : { topics, after: readOn };
}

function summaryOf(database: Database, [topic, messages, bytes]: TopicRow): TopicSummary {
  const [first] = database.row<[string]>(SELECT_FIRST, topic) ?? [];
  const [last] = database.row<[string]>(SELECT_LAST, topic) ?? [];
  if (first === undefined || last === undefined) return { topic, messages, bytes };
  return { topic, messages, bytes, oldest: arrivedTime(first), newest: arrivedTime(last) };
}
