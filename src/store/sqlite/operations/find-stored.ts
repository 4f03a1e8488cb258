// Which of some messages are stored.

import type { MessageId } from "../../../mqtt/message-id.ts";
import type { Database } from "../database.ts";

const SELECT_STORED = "SELECT msgid FROM mqtt_msg WHERE msgid IN (SELECT value FROM json_each(?))";

export function findStored(database: Database, ids: readonly MessageId[]): MessageId[] {
  return database.rows<[MessageId]>(SELECT_STORED, JSON.stringify(ids)).map(([id]) => id);
}
