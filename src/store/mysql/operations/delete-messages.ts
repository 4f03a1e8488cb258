// Removes acknowledged messages.
//
// With EMQX's own template by the primary key, as far as it is known: `msgid` has no index in the plugin's table. What is not
// known is looked for among the messages of its topic, which do have one. Another template runs as it is written, message by
// message in one transaction.

import type { MessageKey } from "../../store.ts";
import type { MySqlContext } from "../context.ts";
import { listOf, partsOf } from "../lists.ts";
import { type Parameter, wholeNumber } from "../result.ts";
import { columnNamed, nameOf } from "../table-shape.ts";
import { inTransaction } from "./in-transaction.ts";

/** Returns how many went. Rejects with the error of MySQL or the connection. */
export async function deleteMessages(context: MySqlContext, keys: readonly MessageKey[]): Promise<number> {
  const { rowIds } = context;
  if (!canDeleteByRow(context)) return deleteByTemplate(context, keys);
  let removed = 0;
  for (const part of partsOf(keys)) removed += await deleteByRow(context, part);
  for (const { id } of keys) rowIds.delete(id);
  return removed;
}

/** Whether the default template removes from the table that messages are written to, and under the names that it has. */
function canDeleteByRow({ templates, layout: { messages } }: MySqlContext): boolean {
  const { shape, topic, msgid } = messages ?? {};
  return (
    templates.defaults.has("delete_message_sql") &&
    shape?.rowId !== undefined &&
    nameOf(shape.table).join(".") === ".mqtt_msg" &&
    topic !== undefined &&
    columnNamed(shape, msgid)?.name.toLowerCase() === "msgid"
  );
}

async function deleteByRow(context: MySqlContext, keys: readonly MessageKey[]): Promise<number> {
  const { execute, layout, rowIds } = context;
  const known: { readonly key: MessageKey; readonly rowId: number; readonly wasRead: boolean }[] = [];
  const unknown: MessageKey[] = [];
  for (const key of keys) {
    const row = rowIds.get(key.id);
    if (row === undefined) unknown.push(key);
    else known.push({ key, ...row });
  }
  let removed = 0;
  if (known.length > 0) {
    const rows = listOf(known.map(({ rowId }) => wholeNumber(rowId)));
    const ids = listOf(known.map(({ key }) => key.id));
    const sql = `DELETE FROM mqtt_msg WHERE ${layout.messages?.shape.rowId} IN ${rows.sql} AND msgid IN ${ids.sql}`;
    const { affectedRows } = await execute(sql, [...rows.values, ...ids.values]);
    removed += affectedRows;
    // What is gone already is no reason to look, but an id that was only inferred is.
    const inferred = known.filter(({ wasRead }) => !wasRead);
    if (affectedRows < known.length && inferred.length > 0) unknown.push(...inferred.map(({ key }) => key));
  }
  return removed + (await deleteByTopic(context, unknown));
}

async function deleteByTopic({ execute, layout }: MySqlContext, keys: readonly MessageKey[]): Promise<number> {
  let removed = 0;
  if (keys.length === 0 || layout.messages === undefined) return removed;
  if (layout.messages.shape.indexed.has("msgid")) {
    const ids = listOf(keys.map(({ id }) => id));
    return (await execute(`DELETE FROM mqtt_msg WHERE msgid IN ${ids.sql}`, ids.values)).affectedRows;
  }
  for (const [topic, own] of Map.groupBy(keys, (key) => key.topic)) {
    const ids = listOf(own.map(({ id }) => id));
    const sql = `DELETE FROM mqtt_msg WHERE ${layout.messages.topic} = ? AND msgid IN ${ids.sql}`;
    removed += (await execute(sql, [topic, ...ids.values])).affectedRows;
  }
  return removed;
}

async function deleteByTemplate(context: MySqlContext, keys: readonly MessageKey[]): Promise<number> {
  const { sql, parameters } = context.templates.deleteMessage;
  const values = ({ id, topic }: MessageKey): Parameter[] =>
    parameters.map((placeholder) => (placeholder === "topic" ? topic : id));
  let removed = 0;
  await inTransaction(context, async () => {
    for (const key of keys) removed += (await context.execute(sql, values(key))).affectedRows;
  });
  return removed;
}
