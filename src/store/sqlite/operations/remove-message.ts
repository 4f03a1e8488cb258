// Removes one message and counts it out of its topic. What every operation that removes messages ends in.

import type { Database } from "../database.ts";

const DELETE_BY_ID = "DELETE FROM mqtt_msg WHERE id = ?";

/** The columns that `removeMessage` needs. */
export const REMOVAL_COLUMNS = "id, topic, coalesce(length(payload), 0)";

export type Removal = [id: number, topic: string, bytes: number];

/** Looked up before and removed by its row id: RETURNING, which would do both, takes a quarter longer. */
export function removeMessage(database: Database, [id, topic, bytes]: Removal): void {
  database.statement(DELETE_BY_ID).run(id);
  database.counters.add(topic, -1, -bytes);
}
