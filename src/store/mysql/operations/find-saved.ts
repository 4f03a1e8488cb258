// Finds out which messages are stored already, by their topics and ids.

import type { MessageId } from "../../../mqtt/message-id.ts";
import type { MessageKey } from "../../store.ts";
import type { MySqlContext } from "../context.ts";
import { listOf, partsOf } from "../lists.ts";
import { type Parameter, wholeNumber } from "../result.ts";

/**
 * Which of these messages are stored, in rows above `above` where it is known which column counts up. The table is asked where
 * `insert_message_sql` tells it, since the select template may hide what was just stored; else that template. Never by `msgid`
 * alone, which has no index in the table of EMQX's plugin. Rejects with the error of MySQL or the connection.
 */
export async function findSaved(
  context: MySqlContext,
  messages: readonly MessageKey[],
  above: number,
): Promise<ReadonlySet<MessageId>> {
  const { shape, topic, msgid } = context.layout.messages ?? {};
  if (shape === undefined || topic === undefined || msgid === undefined) {
    return find(context, messages, context.layout.idIsRowId ? above : 0, Number.POSITIVE_INFINITY);
  }
  const saved = new Set<MessageId>();
  const { rowId } = shape;
  const condition = rowId === undefined ? "" : `${rowId} > ? AND `;
  for (const [name, own] of Map.groupBy(messages, (message) => message.topic)) {
    for (const part of partsOf(own)) {
      const ids = listOf(part.map(({ id }) => id));
      const { rows } = await context.execute(
        `SELECT ${msgid} AS msgid, ${rowId ?? "0"} AS id FROM ${shape.table} WHERE ${condition}${topic} = ? AND ${msgid} IN ${ids.sql}`,
        [...(rowId === undefined ? [] : [wholeNumber(above)]), name, ...ids.values],
      );
      for (const row of rows) {
        const id = String(row.msgid).toUpperCase();
        saved.add(id);
        if (rowId !== undefined) context.rowIds.set(id, { rowId: Number(row.id), wasRead: true });
      }
    }
  }
  return saved;
}

/** Which of these `select_message_sql` gives: at least `limit` of them, if it gives so many. Rejects as `findSaved` does. */
export function findVisible(
  context: MySqlContext,
  messages: readonly MessageKey[],
  limit: number,
): Promise<ReadonlySet<MessageId>> {
  return find(context, messages, 0, limit);
}

async function find(
  { execute, templates, layout }: MySqlContext,
  messages: readonly MessageKey[],
  above: number,
  limit: number,
): Promise<ReadonlySet<MessageId>> {
  const found = new Set<MessageId>();
  const { sql, parameters } = templates.selectMessage;
  const hasAbove = layout.selected.has("id") && above > 0;
  for (const [topic, own] of Map.groupBy(messages, (message) => message.topic)) {
    for (const part of partsOf(own)) {
      if (found.size >= limit) return found;
      const ids = listOf(part.map(({ id }) => id));
      const values: Parameter[] = [
        ...parameters.map(() => topic),
        ...(hasAbove ? [wholeNumber(above)] : []),
        ...ids.values,
      ];
      const { rows } = await execute(
        `SELECT msgid AS msgid FROM (${sql}) AS m WHERE ${hasAbove ? "id > ? AND " : ""}msgid IN ${ids.sql}`,
        values,
      );
      for (const row of rows) found.add(String(row.msgid).toUpperCase());
    }
  }
  return found;
}
