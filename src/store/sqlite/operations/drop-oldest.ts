// Removes the oldest message, of a topic or of all, to make room for a new one.

import type { Database } from "../database.ts";

const DELETE_OLDEST = `
DELETE FROM mqtt_msg WHERE id = (SELECT id FROM mqtt_msg ORDER BY id LIMIT 1)
RETURNING topic, coalesce(length(payload), 0)`;

const DELETE_OLDEST_OF_TOPIC = `
DELETE FROM mqtt_msg WHERE id = (SELECT id FROM mqtt_msg WHERE topic = ? ORDER BY id LIMIT 1)
RETURNING topic, coalesce(length(payload), 0)`;

export function dropOldest(database: Database): void {
  count(database, database.row(DELETE_OLDEST));
}

export function dropOldestOfTopic(database: Database, topic: string): void {
  count(database, database.row(DELETE_OLDEST_OF_TOPIC, topic));
}

function count(database: Database, deleted: readonly [topic: string, bytes: number] | undefined): void {
  if (deleted !== undefined) database.counters.add(deleted[0], -1, -deleted[1]);
}
