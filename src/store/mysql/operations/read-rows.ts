// Reads the messages of entries.
//
// Those of one topic are a range of what `select_message_sql` gives. Those of several are asked for by their ids, where the
// template is EMQX's own, else topic by topic through the template.

import type { Message } from "../../../mqtt/message.ts";
import type { MySqlContext } from "../context.ts";
import { listOf, partsOf, topicsPerStatement } from "../lists.ts";
import { fromRow, rowColumns } from "../message-row.ts";
import { type Parameter, type Row, wholeNumber } from "../result.ts";
import type { Entry } from "./read-entries.ts";

/** By the ids of their rows. Rejects with the error of MySQL or the connection. */
export async function readRows(
  context: MySqlContext,
  entries: readonly Entry[],
): Promise<ReadonlyMap<number, Message>> {
  const messages = new Map<number, Message>();
  if (entries.length === 0) return messages;
  const wanted = new Map(entries.map((entry) => [entry.rowId, entry]));
  const take = (rows: readonly Row[]): void => {
    for (const row of rows) {
      const rowId = Number(row[context.layout.selected.get("id") ?? "id"]);
      const entry = wanted.get(rowId);
      const message = entry && fromRow(row, context.layout, entry.topic);
      if (message === undefined || message.topic !== entry?.topic) continue;
      messages.set(rowId, message);
      if (context.layout.idIsRowId) context.rowIds.set(message.id, { rowId, wasRead: true });
    }
  };
  const topics = new Set(entries.map(({ topic }) => topic));
  if (topics.size > 1 && context.templates.defaults.has("select_message_sql")) await readByIds(context, entries, take);
  else await readByTopics(context, entries, take);
  return messages;
}

async function readByIds(
  { execute, layout }: MySqlContext,
  entries: readonly Entry[],
  take: (rows: readonly Row[]) => void,
): Promise<void> {
  for (const part of partsOf(entries)) {
    const list = listOf(part.map(({ rowId }) => wholeNumber(rowId)));
    const { rows } = await execute(
      `SELECT ${rowColumns(layout)} FROM mqtt_msg AS m WHERE id IN ${list.sql}`,
      list.values,
    );
    take(rows);
  }
}

async function readByTopics(
  { execute, layout, templates }: MySqlContext,
  entries: readonly Entry[],
  take: (rows: readonly Row[]) => void,
): Promise<void> {
  const { sql, parameters } = templates.selectMessage;
  const branch = `(SELECT ${rowColumns(layout)} FROM (${sql}) AS m WHERE id >= ? AND id <= ?)`;
  const size = topicsPerStatement(layout.maxPacket, templates.selectMessage);
  for (const part of partsOf([...Map.groupBy(entries, ({ topic }) => topic)], size)) {
    const { values } = listOf(part);
    const ranges = values.map(([topic, own], at): Parameter[] => {
      // What fills the list up gives no row a second time.
      const [first, last] = at < part.length ? [own[0]?.rowId ?? 1, own.at(-1)?.rowId ?? 0] : [1, 0];
      return [...parameters.map(() => topic), wholeNumber(first), wholeNumber(last)];
    });
    const { rows } = await execute(values.map(() => branch).join(" UNION ALL "), ranges.flat());
    take(rows);
  }
}
