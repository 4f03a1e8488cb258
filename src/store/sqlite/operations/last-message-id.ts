// The highest message id that is stored.

import { isMessageId } from "../../../mqtt/message-id.ts";
import type { Database } from "../database.ts";
import type { FoundMessageId } from "../protocol.ts";

const SELECT_LAST_ID = "SELECT max(msgid) FROM mqtt_msg";

/** None when nothing is stored, or when the highest was written by hand and is no message id. */
export function lastMessageId(database: Database): FoundMessageId {
  const [id] = database.row<[string | null]>(SELECT_LAST_ID) ?? [null];
  return { id: id !== null && isMessageId(id) ? id : undefined };
}
