// Finds the topics that have messages and match a filter with wildcards, up to a number of them.
//
// The index on `topic` is skipped through: a round trip gives its next entries, and the one after begins behind the last topic of
// them, so that a topic with many messages costs no more than one with few. Where the table takes topics for equal that are
// not (case, accents, spaces at the end), every entry is looked at.

import { topicMatches } from "../../../mqtt/topic.ts";
import type { MySqlContext } from "../context.ts";
import { type MessageColumns, topicsAreExact } from "../layout.ts";
import { wholeNumber } from "../result.ts";
import { bytesOfText, columnNamed } from "../table-shape.ts";

const ENTRIES = 512;
const ALL_ENTRIES = 4_096;
/** Of a search that has to give up when there is a better way, and of one that has no other. */
const FEW_TRIPS = 16;
const MANY_TRIPS = 1_000;
const MAX_TOPICS = 10_000;

export interface FoundTopics {
  readonly topics: readonly string[];
  /** There are no others. */
  readonly complete: boolean;
}

/** At most `limit` topics, or as many as may be found where there is no limit. Rejects with the error of MySQL. */
export async function findTopics(context: MySqlContext, filter: string, limit?: number): Promise<FoundTopics> {
  if (limit !== undefined && wouldLookAtAll(context, filter)) return { topics: [], complete: false };
  const found = new Set<string>();
  const bound = { topics: limit ?? MAX_TOPICS, trips: limit === undefined ? MANY_TRIPS : FEW_TRIPS };
  let trips = 0;
  for await (const topics of topicSteps(context, filter)) {
    for (const topic of topics) if (topicMatches(filter, topic)) found.add(topic);
    if (found.size > bound.topics || ++trips > bound.trips) {
      return { topics: [...found].slice(0, bound.topics), complete: false };
    }
  }
  return { topics: [...found], complete: true };
}

/** Whether every row of the table would be looked at, and sorted: its topics cannot be skipped, and any of them may match. */
function wouldLookAtAll({ templates, layout }: MySqlContext, filter: string): boolean {
  const { messages } = layout;
  if (templates.selectTopics !== undefined || messages?.topic === undefined || topicsAreExact(messages)) return false;
  return /^[+#]/.test(filter);
}

/** Whether topics can be found at all. */
export function canFindTopics({ templates, layout }: Pick<MySqlContext, "templates" | "layout">): boolean {
  return templates.selectTopics !== undefined || layout.messages?.topic !== undefined;
}

async function* topicSteps(context: MySqlContext, filter: string): AsyncGenerator<string[]> {
  const { templates, layout, execute } = context;
  if (templates.selectTopics !== undefined) {
    const { rows } = await execute(`SELECT * FROM (${templates.selectTopics.sql}) AS t LIMIT ${MAX_TOPICS + 1}`);
    yield rows.map((row) => String(row[layout.topicsColumn ?? "topic"]));
    return;
  }
  const { messages } = layout;
  if (messages?.topic === undefined) return;
  const begin = beginCondition(messages, filter);
  const column = columnNamed(messages.shape, messages.topic);
  const isIndexed = messages.shape.indexed.has(column?.name.toLowerCase() ?? "");
  if (!isIndexed) yield* allAtOnce(context, messages, begin);
  else if (topicsAreExact(messages)) yield* skipping(context, messages, begin);
  else yield* everyEntry(context, messages, begin);
}

async function* skipping(
  { execute }: MySqlContext,
  { topic, shape }: MessageColumns,
  begin: Condition,
): AsyncGenerator<string[]> {
  const sql = `SELECT ${topic} AS topic FROM ${shape.table} WHERE ${topic} > ? AND ${begin.sql} ORDER BY ${topic} LIMIT ${ENTRIES}`;
  for (let last = ""; ; ) {
    const { rows } = await execute(sql, [last, ...begin.values]);
    const topics = rows.map((row) => String(row.topic));
    if (topics.length > 0) yield topics;
    if (topics.length < ENTRIES) return;
    last = topics.at(-1) as string;
  }
}

async function* everyEntry(
  context: MySqlContext,
  messages: MessageColumns,
  begin: Condition,
): AsyncGenerator<string[]> {
  const { topic, shape } = messages;
  const id = shape.rowId;
  if (id === undefined) {
    yield* allAtOnce(context, messages, begin);
    return;
  }
  const select = `SELECT ${topic} AS topic, ${id} AS id FROM ${shape.table} WHERE ${begin.sql}`;
  const order = `ORDER BY ${topic}, ${id} LIMIT ${ALL_ENTRIES}`;
  const more = `AND ${topic} >= ? AND (${topic} > ? OR ${id} > ?)`;
  let { rows } = await context.execute(`${select} ${order}`, begin.values);
  for (;;) {
    if (rows.length > 0) yield rows.map((row) => String(row.topic));
    if (rows.length < ALL_ENTRIES) return;
    const last = String(rows.at(-1)?.topic);
    const values = [...begin.values, last, last, wholeNumber(Number(rows.at(-1)?.id))];
    ({ rows } = await context.execute(`${select} ${more} ${order}`, values));
  }
}

async function* allAtOnce(
  { execute }: MySqlContext,
  { topic, shape }: MessageColumns,
  begin: Condition,
): AsyncGenerator<string[]> {
  const sql = `SELECT DISTINCT ${bytesOfText(topic as string)} AS topic FROM ${shape.table} WHERE ${begin.sql} LIMIT ${MAX_TOPICS + 1}`;
  const { rows } = await execute(sql, begin.values);
  yield rows.map((row) => String(row.topic));
}

interface Condition {
  readonly sql: string;
  readonly values: readonly string[];
}

/** The last character of the Basic Multilingual Plane, and of all. */
const LAST_OF_PLANE = "\uffff";
const LAST = "\u{10ffff}";

/**
 * A condition that an index can be read by, and that holds for all topics that match a filter, if not only for these.
 *
 * MariaDB reads an index for LIKE 't/%' up to U+FFFF only where the collation is utf8mb4_bin or after the Unicode collation
 * algorithm, and misses t/😀. So a range is given where texts are compared by their code points, and else the rest is asked for.
 */
export function beginCondition(messages: MessageColumns, filter: string): Condition {
  const { topic = "", shape } = messages;
  const wildcard = filter.search(/[+#]/);
  if (wildcard < 0) return { sql: `${topic} = ?`, values: [filter] };
  // `a/#` matches `a` too.
  const begin = filter.slice(0, wildcard).replace(/\/$/, filter[wildcard] === "#" ? "" : "/");
  const column = columnNamed(shape, topic);
  const end = topicsAreExact(messages) && column?.takesAllCharacters ? following(begin) : undefined;
  if (begin === "") return { sql: "1 = 1", values: [] };
  if (end !== undefined) return { sql: `${topic} >= ? AND ${topic} < ?`, values: [begin, end] };
  const like = `${begin.replace(/[|%_]/g, "|$&")}%`;
  const { maxCharacters } = column ?? {};
  if (maxCharacters === undefined || !column?.takesAllCharacters) {
    return { sql: `${topic} LIKE ? ESCAPE '|'`, values: [like] };
  }
  const highest = begin + LAST.repeat(Math.max(1, maxCharacters - [...begin].length));
  return {
    sql: `(${topic} LIKE ? ESCAPE '|' OR ${topic} BETWEEN ? AND ?)`,
    values: [like, begin + LAST_OF_PLANE, highest],
  };
}

/** The least text by code points above all that begin with this one; undefined: not told. */
function following(text: string): string | undefined {
  const last = [...text].at(-1)?.codePointAt(0);
  // What follows must be a character: neither a surrogate nor beyond the last one.
  if (last === undefined || last === 0xd7ff || last === 0x10ffff) return undefined;
  return text.slice(0, -String.fromCodePoint(last).length) + String.fromCodePoint(last + 1);
}
