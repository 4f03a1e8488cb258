// Counts by topic: one bounded step through the topics that a filter can match.

import type { Database } from "../database.ts";
import type { ListTopics, TopicsStep } from "../protocol.ts";
import { matchingTopics, type TopicRow } from "../topic-range.ts";

/** Topics looked at in one step. */
const TOPICS_PER_STEP = 4_096;

export function listTopics(database: Database, { topicFilter, after, limit }: ListTopics): TopicsStep {
  const step = matchingTopics(database, topicFilter, after, TOPICS_PER_STEP);
  const topics = step.topics.slice(0, limit).map(([topic, messages, bytes]: TopicRow) => ({ topic, messages, bytes }));
  const readOn = step.topics.length > limit ? topics[limit - 1]?.topic : step.after;
  return readOn === undefined ? { topics } : { topics, after: readOn };
}
