// Finds out which messages are stored already, by their topics and ids.

import type { Message } from "../../../mqtt/message.ts";
import type { MessageId } from "../../../mqtt/message-id.ts";
import type { MySqlContext } from "../context.ts";
import { listOf, partsOf } from "../lists.ts";
import { wholeNumber } from "../result.ts";

/**
 * Which of these messages are stored, in rows above `above` where rows have ids. Never by `msgid` alone, which has no index in
 * the table of EMQX's plugin. Rejects with the error of MySQL or the connection.
 */
export async function findSaved(
  { execute, templates, layout, rowIds }: MySqlContext,
  messages: readonly Pick<Message, "id" | "topic">[],
  above: number,
): Promise<ReadonlySet<MessageId>> {
  const saved = new Set<MessageId>();
  const { sql, parameters } = templates.selectMessage;
  const hasId = layout.selected.has("id");
  for (const [topic, own] of Map.groupBy(messages, (message) => message.topic)) {
    for (const part of partsOf(own)) {
      const ids = listOf(part.map(({ id }) => id));
      const { rows } = await execute(
        `SELECT msgid, ${hasId ? "id" : "0"} AS id FROM (${sql}) AS m WHERE ${hasId ? "id > ? AND " : ""}msgid IN ${ids.sql}`,
        [...parameters.map(() => topic), ...(hasId ? [wholeNumber(above)] : []), ...ids.values],
      );
      for (const row of rows) {
        const id = String(row.msgid).toUpperCase();
        saved.add(id);
        if (hasId) rowIds.set(id, { rowId: Number(row.id), wasRead: true });
      }
    }
  }
  return saved;
}
