// Removes messages whose topic matches a filter: one bounded step.

import type { Database } from "../database.ts";
import type { Purge, SweepStep } from "../protocol.ts";
import { matchingTopics } from "../topic-range.ts";
import { REMOVAL_COLUMNS, type Removal, removeMessage } from "./remove-message.ts";

/** Topics looked at, and messages removed, in one step. */
const TOPICS_PER_STEP = 256;
const MESSAGES_PER_STEP = 512;

const SELECT_OF_TOPIC = `SELECT ${REMOVAL_COLUMNS} FROM mqtt_msg WHERE topic = ? ORDER BY id LIMIT ?`;

export function purge(database: Database, { topicFilter, after, limit }: Purge): SweepStep {
  // Topics of messages saved earlier in this transaction are not in the table yet.
  database.counters.write();
  const room = Math.min(limit, MESSAGES_PER_STEP);
  const step = matchingTopics(database, topicFilter, after, TOPICS_PER_STEP);
  let removed = 0;
  let done = after ?? "";
  for (const [topic] of step.topics) {
    const messages = database.rows<Removal>(SELECT_OF_TOPIC, topic, room - removed);
    for (const message of messages) removeMessage(database, message);
    removed += messages.length;
    // This topic may hold more: the next step looks at it again.
    if (removed >= room) return { removed, after: done };
    done = topic;
  }
  return step.after === undefined ? { removed } : { removed, after: step.after };
}
