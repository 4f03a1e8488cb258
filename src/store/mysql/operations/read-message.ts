// Reads one message by its id, through `select_message_sql`.
//
// That template needs the topic. Where the caller does not know it, the table tells, if it has an index on the ids of messages
// or the row is remembered.

import type { Message } from "../../../mqtt/message.ts";
import type { MessageId } from "../../../mqtt/message-id.ts";
import { StoreTopicNeededError } from "../../errors.ts";
import { deathOf } from "../../message-death.ts";
import type { MySqlContext } from "../context.ts";
import { fromRow, rowColumns } from "../message-row.ts";
import { type Parameter, wholeNumber } from "../result.ts";
import { columnNamed } from "../table-shape.ts";

/** Topics that the rows of one id may have, of which there is one. */
const MAX_TOPICS = 4;

/**
 * Undefined: it is not stored, or has expired. Rejects with `StoreTopicNeededError`, and with the error of MySQL or the
 * connection.
 */
export async function readMessage(
  context: MySqlContext,
  id: MessageId,
  topic: string | undefined,
): Promise<Message | undefined> {
  const { execute, layout, templates, messageTtl } = context;
  const { sql, parameters } = templates.selectMessage;
  for (const name of topic === undefined ? await topicsOf(context, id) : [topic]) {
    const values: Parameter[] = [...parameters.map(() => name), id];
    const { rows } = await execute(
      `SELECT ${rowColumns(layout)} FROM (${sql}) AS m WHERE m.msgid = ? LIMIT ${MAX_TOPICS}`,
      values,
    );
    for (const row of rows) {
      const message = fromRow(row, layout, name);
      if (message?.id === id && message.topic === name && deathOf(message, messageTtl) > Date.now()) return message;
    }
  }
  return undefined;
}

async function topicsOf({ execute, layout, rowIds }: MySqlContext, id: MessageId): Promise<string[]> {
  const { shape, topic, msgid } = layout.messages ?? {};
  if (shape !== undefined && topic !== undefined && msgid !== undefined) {
    const select = `SELECT ${topic} AS topic FROM ${shape.table} WHERE ${msgid} = ?`;
    if (shape.indexed.has(columnNamed(shape, msgid)?.name.toLowerCase() ?? "")) {
      return topicsIn(await execute(`${select} LIMIT ${MAX_TOPICS}`, [id]));
    }
    const rowId = rowIds.rowIdOf(id);
    if (rowId !== undefined && shape.rowId !== undefined) {
      const found = topicsIn(await execute(`${select} AND ${shape.rowId} = ?`, [id, wholeNumber(rowId)]));
      if (found.length > 0) return found;
    }
  }
  throw new StoreTopicNeededError("MySQL has no index to find a message by its id: give its topic too.");
}

function topicsIn({ rows }: Awaited<ReturnType<MySqlContext["execute"]>>): string[] {
  return [...new Set(rows.map((row) => String(row.topic)))];
}
