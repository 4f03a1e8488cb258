// Finds the highest id stored: among the rows that were stored last.

import { isMessageId, type MessageId } from "../../../mqtt/message-id.ts";
import type { MySqlContext } from "../context.ts";

/** Ids rise with the time of storing, but for clocks that differ by a little. */
const ROWS = 256;

/** Undefined when nothing is stored, or the table does not tell. Rejects with the error of MySQL or the connection. */
export async function lastMessageId({ execute, layout }: MySqlContext): Promise<MessageId | undefined> {
  const { shape, msgid } = layout.messages ?? {};
  if (shape?.rowId === undefined || msgid === undefined) return undefined;
  const { rows } = await execute(
    `SELECT ${msgid} AS msgid FROM ${shape.table} ORDER BY ${shape.rowId} DESC LIMIT ${ROWS}`,
  );
  let highest: MessageId | undefined;
  for (const row of rows) {
    const id = String(row.msgid).toUpperCase();
    if (isMessageId(id) && (highest === undefined || id > highest)) highest = id;
  }
  return highest;
}
