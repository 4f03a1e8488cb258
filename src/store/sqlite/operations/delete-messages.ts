// Removes messages by id. Ids that are not stored are passed over.

import type { Database } from "../database.ts";
import { REMOVAL_COLUMNS, type Removal, removeMessage } from "./remove-message.ts";

const SELECT_BY_MSGID = `SELECT ${REMOVAL_COLUMNS} FROM mqtt_msg WHERE msgid = ?`;

export function deleteMessages(database: Database, ids: readonly string[]): void {
  for (const id of ids) {
    const message = database.row<Removal>(SELECT_BY_MSGID, id);
    if (message !== undefined) removeMessage(database, message);
  }
}
