// Removes messages by id. Ids that are not stored are passed over.

import type { Database } from "../database.ts";

const DELETE_MESSAGE = "DELETE FROM mqtt_msg WHERE msgid = ? RETURNING topic, coalesce(length(payload), 0)";

export function deleteMessages(database: Database, ids: readonly string[]): void {
  for (const id of ids) {
    const deleted = database.row<[topic: string, bytes: number]>(DELETE_MESSAGE, id);
    if (deleted !== undefined) database.counters.add(deleted[0], -1, -deleted[1]);
  }
}
