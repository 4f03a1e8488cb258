// Removes the oldest message, of a topic or of all, to make room for a new one.

import type { Database } from "../database.ts";
import { REMOVAL_COLUMNS, type Removal, removeMessage } from "./remove-message.ts";

const SELECT_OLDEST = `SELECT ${REMOVAL_COLUMNS} FROM mqtt_msg ORDER BY id LIMIT 1`;

const SELECT_OLDEST_OF_TOPIC = `SELECT ${REMOVAL_COLUMNS} FROM mqtt_msg WHERE topic = ? ORDER BY id LIMIT 1`;

export function dropOldest(database: Database): void {
  const oldest = database.row<Removal>(SELECT_OLDEST);
  if (oldest !== undefined) removeMessage(database, oldest);
}

export function dropOldestOfTopic(database: Database, topic: string): void {
  const oldest = database.row<Removal>(SELECT_OLDEST_OF_TOPIC, topic);
  if (oldest !== undefined) removeMessage(database, oldest);
}
