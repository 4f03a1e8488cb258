// Reads which messages match a filter: the ids of their rows, their topics and sizes, in the order of the ids.
//
// An exact topic, and up to 64 topics of a filter with wildcards, are read through `select_message_sql`, each up to a number
// of entries. For more topics the table is walked through in the order of its ids, if these are the ids of the template. Without either, all topics are read through
// the template, however many. Every way says up to which id it has looked at everything.

import { topicMatches } from "../../../mqtt/topic.ts";
import type { MySqlContext } from "../context.ts";
import { listOf, MAX_TOPICS, partsOf, topicsPerStatement } from "../lists.ts";
import { type Parameter, wholeNumber } from "../result.ts";
import { findTopics } from "./find-topics.ts";

/** Entries read ahead at once, and of each topic where many match. */
export const MAX_ENTRIES = 2_048;
export const MIN_ENTRIES = 16;
const MIN_ENTRIES_PER_TOPIC = 16;
/** Rows of one step through the table. */
const WALK = 4_096;
const NO_END = Number.MAX_SAFE_INTEGER;

export interface Entry {
  readonly rowId: number;
  readonly topic: string;
  /** Of the payload, in bytes. */
  readonly size: number;
}

export interface Entries {
  /** In order. */
  readonly entries: readonly Entry[];
  /** All that match up to this id are among the entries. */
  readonly through: number;
  /** Nothing that matches was stored after these when they were read. */
  readonly complete: boolean;
}

/** The entries after a row. Rejects with the error of MySQL or the connection. */
export async function readEntries(
  context: MySqlContext,
  filter: string,
  after: number,
  maxEntries = MAX_ENTRIES,
): Promise<Entries> {
  if (!/[+#]/.test(filter)) return entriesOfTopics(context, [filter], after, NO_END, maxEntries);
  const { messages } = context.layout;
  const canWalk = messages?.topic !== undefined && context.layout.idIsRowId;
  const end = canWalk ? await lastRowId(context) : NO_END;
  if (end <= after) return { entries: [], through: after, complete: true };
  const { topics, complete } = await findTopics(context, filter, canWalk ? MAX_TOPICS : undefined);
  if (!complete && canWalk) return walk(context, filter, after, maxEntries);
  return entriesOfTopics(context, topics, after, end, maxEntries);
}

/** The highest id in the table of messages; 0 when it is empty or not known. */
export async function lastRowId({ layout, execute }: MySqlContext): Promise<number> {
  const { messages } = layout;
  if (messages?.shape.rowId === undefined) return 0;
  const { rows } = await execute(`SELECT MAX(${messages.shape.rowId}) AS last FROM ${messages.shape.table}`);
  return Number(rows[0]?.last ?? 0);
}

async function entriesOfTopics(
  context: MySqlContext,
  topics: readonly string[],
  after: number,
  end: number,
  maxEntries: number,
): Promise<Entries> {
  const limit = Math.max(MIN_ENTRIES_PER_TOPIC, Math.ceil(maxEntries / Math.max(1, topics.length)));
  let entries: Entry[] = [];
  let cut = NO_END;
  const size = topicsPerStatement(context.layout.maxPacket, context.templates.selectMessage);
  for (const part of partsOf(topics, size)) {
    const found = await entriesOfPart(context, part, after, end, limit);
    for (const { ofTopic, last } of found) {
      entries.push(...ofTopic);
      if (last !== undefined) cut = Math.min(cut, last);
    }
    if (entries.length > maxEntries) {
      entries.sort((a, b) => a.rowId - b.rowId);
      entries.length = maxEntries;
      cut = Math.min(cut, (entries.at(-1) as Entry).rowId);
    }
  }
  entries = entries.filter(({ rowId }) => rowId <= cut).sort((a, b) => a.rowId - b.rowId);
  // A join or union may give a row more than once.
  entries = entries.filter(({ rowId }, at) => rowId !== entries[at - 1]?.rowId);
  if (cut < NO_END) return { entries, through: cut, complete: false };
  return { entries, through: end === NO_END ? (entries.at(-1)?.rowId ?? after) : end, complete: true };
}

interface OfTopic {
  readonly ofTopic: readonly Entry[];
  /** The last one that was read, when there may be more. */
  readonly last?: number;
}

/** A list of topics is filled up to a power of two with one that has no messages. */
async function entriesOfPart(
  { execute, layout, templates }: MySqlContext,
  topics: readonly string[],
  after: number,
  end: number,
  limit: number,
): Promise<OfTopic[]> {
  if (topics.length === 0) return [];
  const { selectMessage } = templates;
  const size = layout.selected.has("payload") ? "OCTET_LENGTH(payload)" : "0";
  const topicColumn = layout.selected.has("topic") ? "topic" : "NULL";
  const count = 2 ** Math.ceil(Math.log2(topics.length));
  const branch = (at: number) =>
    `(SELECT ${at} AS part, id AS id, ${topicColumn} AS topic, ${size} AS size FROM (${selectMessage.sql}) AS m WHERE id > ? AND id <= ? ORDER BY id LIMIT ${limit})`;
  const branches = Array.from({ length: count }, (_, at) => branch(at));
  const parameters = Array.from({ length: count }, (_, at): Parameter[] => {
    const topic = topics[at] ?? NO_TOPIC;
    return [...selectMessage.parameters.map(() => topic), wholeNumber(after), wholeNumber(end)];
  });
  const { rows } = await execute(branches.join(" UNION ALL "), parameters.flat());
  const found: { ofTopic: Entry[]; read: number; highest: number }[] = topics.map(() => ({
    ofTopic: [],
    read: 0,
    highest: 0,
  }));
  for (const row of rows) {
    const part = found[Number(row.part)];
    const topic = topics[Number(row.part)];
    if (part === undefined || topic === undefined) continue;
    const rowId = Number(row.id);
    part.read++;
    part.highest = Math.max(part.highest, rowId);
    // The table may take other topics for equal.
    if (topicColumn === "NULL" || String(row.topic) === topic)
      part.ofTopic.push({ rowId, topic, size: Number(row.size) });
  }
  return found.map(({ ofTopic, read, highest }) => ({ ofTopic, ...(read < limit ? undefined : { last: highest }) }));
}

/** No topic is empty. */
const NO_TOPIC = "";

/** The next rows of the table, whatever their topics; then the sizes of those that match. */
async function walk(
  { layout, execute }: MySqlContext,
  filter: string,
  after: number,
  maxEntries: number,
): Promise<Entries> {
  const { shape, topic, payload } = layout.messages ?? {};
  if (shape?.rowId === undefined || topic === undefined) return { entries: [], through: after, complete: true };
  const id = shape.rowId;
  const sql = `SELECT ${id} AS id, ${topic} AS topic FROM ${shape.table} WHERE ${id} > ? ORDER BY ${id} LIMIT ${WALK}`;
  const { rows } = await execute(sql, [wholeNumber(after)]);
  const topicOf = new Map<number, string>();
  for (const row of rows) {
    const name = String(row.topic);
    if (topicOf.size < maxEntries && topicMatches(filter, name)) topicOf.set(Number(row.id), name);
  }
  const isCut = topicOf.size === maxEntries;
  const entries: Entry[] = [];
  for (const part of partsOf([...topicOf.keys()])) {
    const list = listOf(part.map(wholeNumber));
    const size = payload === undefined ? "0" : `OCTET_LENGTH(${payload})`;
    const sizes = await execute(
      `SELECT ${id} AS id, ${size} AS size FROM ${shape.table} WHERE ${id} IN ${list.sql}`,
      list.values,
    );
    for (const row of sizes.rows) {
      const rowId = Number(row.id);
      entries.push({ rowId, topic: topicOf.get(rowId) as string, size: Number(row.size) });
    }
  }
  entries.sort((a, b) => a.rowId - b.rowId);
  const through = isCut ? [...topicOf.keys()].at(-1) : Number(rows.at(-1)?.id ?? after);
  return { entries, through: through as number, complete: !isCut && rows.length < WALK };
}
