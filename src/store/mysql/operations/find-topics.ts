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
  const like = prefixPattern(filter);
  const column = columnNamed(messages.shape, messages.topic);
  const isIndexed = messages.shape.indexed.has(column?.name.toLowerCase() ?? "");
  if (!isIndexed) yield* allAtOnce(context, messages, like);
  else if (topicsAreExact(messages)) yield* skipping(context, messages, like);
  else yield* everyEntry(context, messages, like);
}

async function* skipping({ execute }: MySqlContext, messages: MessageColumns, like: string): AsyncGenerator<string[]> {
  const { topic } = messages;
  const sql = `SELECT ${topic} AS topic FROM ${messages.shape.table} WHERE ${topic} > ? AND ${topic} LIKE ? ESCAPE '|' ORDER BY ${topic} LIMIT ${ENTRIES}`;
  for (let last = ""; ; ) {
    const { rows } = await execute(sql, [last, like]);
    const topics = rows.map((row) => String(row.topic));
    if (topics.length > 0) yield topics;
    if (topics.length < ENTRIES) return;
    last = topics.at(-1) as string;
  }
}

async function* everyEntry(
  { execute }: MySqlContext,
  messages: MessageColumns,
  like: string,
): AsyncGenerator<string[]> {
  const { topic, shape } = messages;
  const id = shape.rowId;
  if (id === undefined) {
    yield* allAtOnce({ execute } as MySqlContext, messages, like);
    return;
  }
  const sql = `SELECT ${topic} AS topic, ${id} AS id FROM ${shape.table} WHERE ${topic} LIKE ? ESCAPE '|' AND ${topic} >= ? AND (${topic} > ? OR ${id} > ?) ORDER BY ${topic}, ${id} LIMIT ${ALL_ENTRIES}`;
  for (let last = "", lastId = 0; ; ) {
    const { rows } = await execute(sql, [like, last, last, wholeNumber(lastId)]);
    if (rows.length > 0) yield rows.map((row) => String(row.topic));
    if (rows.length < ALL_ENTRIES) return;
    last = String(rows.at(-1)?.topic);
    lastId = Number(rows.at(-1)?.id);
  }
}

async function* allAtOnce({ execute }: MySqlContext, messages: MessageColumns, like: string): AsyncGenerator<string[]> {
  const { topic, shape } = messages;
  const sql = `SELECT DISTINCT ${bytesOfText(topic as string)} AS topic FROM ${shape.table} WHERE ${topic} LIKE ? ESCAPE '|' LIMIT ${MAX_TOPICS + 1}`;
  const { rows } = await execute(sql, [like]);
  yield rows.map((row) => String(row.topic));
}

/** For LIKE: what all topics begin with that match the filter. `a/#` matches `a` too. */
export function prefixPattern(filter: string): string {
  const wildcard = filter.search(/[+#]/);
  const prefix = wildcard < 0 ? filter : filter.slice(0, wildcard).replace(/\/$/, filter[wildcard] === "#" ? "" : "/");
  return `${prefix.replace(/[|%_]/g, "|$&")}${wildcard < 0 ? "" : "%"}`;
}
