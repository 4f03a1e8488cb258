// Finds expired messages, a bounded number of rows at each call: they are removed as acknowledged ones are.
//
// Neither `arrived` nor `expires_at` has an index. Rows lie in the order in which they were stored, so what is old is in front;
// what expires by itself may be anywhere, so each call also looks at the rows that follow those of the last one.
//
// Where the templates are the user's, a row may be none of ours, or be there still though it was removed: the select template
// tells.

import { isMessageId } from "../../../mqtt/message-id.ts";
import { deathOf } from "../../message-death.ts";
import type { MessageKey } from "../../store.ts";
import type { MySqlContext } from "../context.ts";
import { type Row, wholeNumber } from "../result.ts";
import { columnNamed } from "../table-shape.ts";
import { findVisible } from "./find-saved.ts";

/** Rows that one call looks at, from the front and from where the last one stopped. */
const ROWS = 2_000;

export class ExpirySweep {
  #after = 0;

  /** Up to `limit` expired messages. Rejects with the error of MySQL or the connection. */
  async find(context: MySqlContext, now: number, limit: number): Promise<readonly MessageKey[]> {
    const select = selection(context);
    if (select === undefined) return [];
    const front = await context.execute(select, [wholeNumber(0)]);
    const dead = [...(await deadOf(context, front.rows, now, limit))];
    if (dead.length >= limit || front.rows.length < ROWS) {
      this.#after = 0;
      return dead;
    }
    this.#after = Math.max(this.#after, Number(front.rows.at(-1)?.id));
    const { rows } = await context.execute(select, [wholeNumber(this.#after)]);
    dead.push(...(await deadOf(context, rows, now, limit - dead.length)));
    // With more to remove than this call may, the next one looks at the same rows again.
    if (dead.length < limit) this.#after = rows.length < ROWS ? 0 : Number(rows.at(-1)?.id);
    return dead;
  }
}

async function deadOf(
  context: MySqlContext,
  rows: readonly Row[],
  now: number,
  limit: number,
): Promise<readonly MessageKey[]> {
  const { defaults } = context.templates;
  const isOurs = defaults.has("select_message_sql") && defaults.has("delete_message_sql");
  if (isOurs) return expiredOf(context, rows, now, limit);
  const candidates = expiredOf(context, rows, now, rows.length);
  const visible = await findVisible(context, candidates, limit);
  return candidates.filter(({ id }) => visible.has(id)).slice(0, limit);
}

function expiredOf(context: MySqlContext, rows: readonly Row[], now: number, limit: number): MessageKey[] {
  const dead: MessageKey[] = [];
  for (const { id: rowId, msgid, topic, arrived, expires_at } of rows) {
    if (dead.length >= limit) break;
    const id = String(msgid).toUpperCase();
    if (!isMessageId(id)) continue;
    const timestamp = arrived === null ? Number.POSITIVE_INFINITY : Number(arrived) * 1_000;
    const expiry = expires_at === null ? undefined : { expiresAt: Number(expires_at) };
    if (deathOf({ timestamp, ...expiry }, context.messageTtl) > now) continue;
    dead.push({ id, topic: String(topic) });
    context.rowIds.set(id, { rowId: Number(rowId), wasRead: true });
  }
  return dead;
}

/** Undefined: nothing expires, or the table does not tell when. */
function selection({ layout, messageTtl }: MySqlContext): string | undefined {
  const { shape, msgid, topic, arrived, expiresAt } = layout.messages ?? {};
  if (shape?.rowId === undefined || msgid === undefined || topic === undefined) return undefined;
  const byAge = messageTtl > 0 && canExpireByAge(layout.messages) ? `UNIX_TIMESTAMP(${arrived})` : "NULL";
  const byItself = expiresAt ?? "NULL";
  if (byAge === "NULL" && byItself === "NULL") return undefined;
  const id = shape.rowId;
  return `SELECT ${id} AS id, ${msgid} AS msgid, ${topic} AS topic, ${byAge} AS arrived, ${byItself} AS expires_at FROM ${shape.table} WHERE ${id} > ? ORDER BY ${id} LIMIT ${ROWS}`;
}

/** Whether the table tells when a message was stored. */
export function canExpireByAge(messages: MySqlContext["layout"]["messages"]): boolean {
  if (messages?.arrived === undefined) return false;
  const type = columnNamed(messages.shape, messages.arrived)?.type;
  return type === "datetime" || type === "timestamp";
}
