// Saves messages: as rows of one statement where the template allows it, else one by one in one transaction.
//
// A statement is a transaction of its own, so that saving is one round trip. Statements have few different numbers of rows, so
// that few have to be prepared: what is left over waits for the next flush. When a row cannot be stored, halves are tried, so
// that only that one is refused.

import type { Message } from "../../../mqtt/message.ts";
import type { MySqlContext } from "../context.ts";
import { pushParameters } from "../message-row.ts";
import { type MultiRow, repeatableRows, sqlForRows } from "../multi-row.ts";
import { problemOf } from "../problem.ts";
import type { Parameter, Result } from "../result.ts";
import { unlessDeadlocked } from "./unless-deadlocked.ts";

/** Bytes that a row takes in a statement beside its texts and payload. */
const ROW_OVERHEAD = 256;
/** Bytes of a statement that are left for its head, unless that is more than a quarter. */
const STATEMENT_OVERHEAD = 64 * 1024;
/** Up to this many rows there is a statement for each number; above, for a power of two and for one and a half of it. */
const EVERY_NUMBER = 16;

/** What became of each message, by its place: stored, not tried, or the error. */
export type SaveOutcome = "done" | "again" | Error;

/** How many of the messages make up the next statement. */
export function nextStatement(context: MySqlContext, messages: readonly Message[]): number {
  const maxBytes = maxBytesOf(context);
  const maxRows = repeatableRows(context.layout.insertMessage)?.maxRows ?? messages.length;
  let rows = 0;
  for (let bytes = 0; rows < Math.min(messages.length, maxRows); rows++) {
    bytes += bytesOf(context, messages[rows] as Message);
    if (rows > 0 && bytes > maxBytes) break;
  }
  if (rows <= EVERY_NUMBER) return rows;
  const power = 2 ** Math.floor(Math.log2(rows));
  return power * 1.5 <= rows ? power * 1.5 : power;
}

/** Whether a message fits in a statement of its own. */
export function fitsPacket(context: MySqlContext, message: Message): boolean {
  return bytesOf(context, message) <= maxBytesOf(context);
}

function maxBytesOf({ layout: { maxPacket } }: MySqlContext): number {
  return maxPacket - Math.min(STATEMENT_OVERHEAD, maxPacket / 4);
}

/** At most: a template may write a value more than once. */
function bytesOf({ layout }: MySqlContext, { topic, from, payload, properties }: Message): number {
  let bytes = ROW_OVERHEAD;
  for (const placeholder of layout.insertMessage.parameters) {
    if (placeholder === "payload") bytes += payload.length;
    else if (placeholder === "topic") bytes += 3 * topic.length;
    else if (placeholder === "from" || placeholder === "clientid") bytes += 3 * from.length;
    else if (placeholder === "properties" && properties !== undefined) bytes += 3 * JSON.stringify(properties).length;
  }
  return bytes;
}

/** Saves all of them. Rejects with the first error that is not about a value of one message. */
export async function saveMessages(context: MySqlContext, messages: readonly Message[]): Promise<SaveOutcome[]> {
  const rows = repeatableRows(context.layout.insertMessage);
  return rows === undefined
    ? unlessDeadlocked(() => saveOneByOne(context, messages))
    : saveTogether(context, rows, messages);
}

async function saveTogether(
  context: MySqlContext,
  rows: MultiRow,
  messages: readonly Message[],
): Promise<SaveOutcome[]> {
  const { parameters } = context.layout.insertMessage;
  const values: Parameter[] = [];
  for (const message of messages) pushParameters(values, message, parameters);
  try {
    const sql = sqlForRows(rows, messages.length);
    const result = await unlessDeadlocked(() => context.insert(sql, values));
    noteRows(context, messages, result);
    return messages.map(() => "done");
  } catch (error) {
    if (problemOf(error as Error, "").kind !== "data") throw error;
    if (messages.length === 1) return [error as Error];
  }
  const half = Math.ceil(messages.length / 2);
  const first = await saveTogether(context, rows, messages.slice(0, half));
  return [...first, ...(await saveTogether(context, rows, messages.slice(half)))];
}

/** Each statement by itself: an error about a value takes back that statement alone. */
async function saveOneByOne(context: MySqlContext, messages: readonly Message[]): Promise<SaveOutcome[]> {
  const { sql, parameters } = context.layout.insertMessage;
  const outcomes: SaveOutcome[] = [];
  await context.execute("START TRANSACTION");
  try {
    for (const message of messages) {
      try {
        noteRows(context, [message], await context.insert(sql, pushParameters([], message, parameters)));
        outcomes.push("done");
      } catch (error) {
        if (problemOf(error as Error, "").kind !== "data") throw error;
        outcomes.push(error as Error);
      }
    }
  } catch (error) {
    await context.execute("ROLLBACK").catch(() => {});
    throw error;
  }
  await context.execute("COMMIT");
  return outcomes;
}

/** The rows of one statement have ids that follow one another, by the server's step. */
function noteRows({ rowIds, layout }: MySqlContext, messages: readonly Message[], { insertId }: Result): void {
  if (insertId === 0) return;
  for (const [at, { id }] of messages.entries()) {
    rowIds.set(id, { rowId: insertId + at * layout.idStep, wasRead: false });
  }
}
