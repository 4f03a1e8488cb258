// Counts the messages of topics, and of all.
//
// With EMQX's own select template the table counts by itself. Another one may hide rows, or come from another table: then the
// topics are found first, and each is counted through the template.

import { topicMatches } from "../../../mqtt/topic.ts";
import type { StoreTotals, TopicSummary, TopicsPage, TopicsRequest } from "../../store.ts";
import type { MySqlContext } from "../context.ts";
import { type MessageColumns, topicsAreExact } from "../layout.ts";
import { listOf, partsOf, topicsPerStatement } from "../lists.ts";
import type { Row } from "../result.ts";
import { bytesOfText } from "../table-shape.ts";
import { canExpireByAge } from "./expire.ts";
import { beginCondition, findTopics } from "./find-topics.ts";

/** Topics in one round trip. */
const TOPICS = 512;
/** GROUP BY takes a column of the table before a name that the statement gives: no table has one of this name. */
const NAME = "omp_topic";

/** One page of topics with their counts, in the order of their bytes. Rejects with the error of MySQL or the connection. */
export async function listTopics(context: MySqlContext, request: TopicsRequest): Promise<TopicsPage> {
  const { topicFilter, limit } = request;
  const found: TopicSummary[] = [];
  for (let last = request.after ?? ""; ; ) {
    const { topics, end } = await nextTopics(context, topicFilter, last);
    for (const [at, summary] of topics.entries()) {
      if (summary.messages > 0 && topicMatches(topicFilter, summary.topic)) found.push(summary);
      const isLast = end === undefined && at === topics.length - 1;
      if (found.length === limit && !isLast) return { topics: found, next: summary.topic };
    }
    if (end === undefined) return { topics: found };
    last = end;
  }
}

interface Step {
  /** Some may be none of the filter's, or have no messages. */
  readonly topics: readonly TopicSummary[];
  /** The topic to go on after; absent: there are no others. */
  readonly end?: string;
}

async function nextTopics(context: MySqlContext, filter: string, after: string): Promise<Step> {
  const { templates, layout } = context;
  const isCounted = templates.defaults.has("select_message_sql");
  if (!isCounted && templates.selectTopics !== undefined) return namedTopics(context, filter, after);
  const { messages } = layout;
  if (messages?.topic === undefined) return { topics: [] };
  const rows = await topicRows(context, messages, { filter, after, isCounted });
  const names = rows.map((row) => String(row[NAME]));
  const topics = isCounted ? rows.map((row) => summaryOf(String(row[NAME]), row)) : await count(context, names);
  const end = rows.length < TOPICS ? undefined : names.at(-1);
  return end === undefined ? { topics } : { topics, end };
}

async function topicRows(
  { execute }: MySqlContext,
  messages: MessageColumns,
  { filter, after, isCounted }: { readonly filter: string; readonly after: string; readonly isCounted: boolean },
): Promise<readonly Row[]> {
  const topic = messages.topic as string;
  const column = topicsAreExact(messages) ? topic : bytesOfText(topic);
  const value = topicsAreExact(messages) ? "?" : "CAST(? AS BINARY)";
  const counts = isCounted ? `, ${countsOf(messages.payload, canExpireByAge(messages) && messages.arrived)}` : "";
  const begin = beginCondition(messages, filter);
  const sql = `SELECT ${column} AS ${NAME}${counts} FROM ${messages.shape.table} WHERE ${begin.sql} AND ${column} > ${value} GROUP BY ${NAME} ORDER BY ${NAME} LIMIT ${TOPICS}`;
  return (await execute(sql, [...begin.values, after])).rows;
}

/** Those of `select_topics_sql`. */
async function namedTopics(context: MySqlContext, filter: string, after: string): Promise<Step> {
  const named = await findTopics(context, filter);
  const later = named.topics.filter((topic) => compare(topic, after) > 0).sort(compare);
  const topics = await count(context, later.slice(0, TOPICS));
  return later.length > TOPICS ? { topics, end: later[TOPICS - 1] as string } : { topics };
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Through the select template. */
async function count({ execute, layout, templates }: MySqlContext, topics: readonly string[]): Promise<TopicSummary[]> {
  const { selectMessage } = templates;
  const { selected, arrivedIsTime } = layout;
  const counts = countsOf(selected.has("payload") ? "payload" : undefined, arrivedIsTime && "arrived");
  const exact = selected.has("topic") ? ` WHERE ${bytesOfText("topic")} = CAST(? AS BINARY)` : "";
  const found: TopicSummary[] = [];
  for (const part of partsOf(topics, topicsPerStatement(layout.maxPacket, selectMessage))) {
    const { values: filled } = listOf(part);
    const branches = filled.map(
      (_, at) => `(SELECT ${at} AS part, ${counts} FROM (${selectMessage.sql}) AS m${exact})`,
    );
    const values = filled.flatMap((topic) => [...selectMessage.parameters.map(() => topic), ...(exact ? [topic] : [])]);
    const { rows } = await execute(branches.join(" UNION ALL "), values);
    const byPart = new Map(rows.map((row) => [Number(row.part), row]));
    for (const [at, topic] of part.entries()) found.push(summaryOf(topic, byPart.get(at) ?? {}));
  }
  return found;
}

function countsOf(payload: string | undefined, arrived: string | false | undefined): string {
  const bytes = payload === undefined ? "0" : `SUM(OCTET_LENGTH(${payload}))`;
  const [oldest, newest] = arrived
    ? [`UNIX_TIMESTAMP(MIN(${arrived}))`, `UNIX_TIMESTAMP(MAX(${arrived}))`]
    : ["NULL", "NULL"];
  return `COUNT(*) AS messages, ${bytes} AS bytes, ${oldest} AS oldest, ${newest} AS newest`;
}

function summaryOf(topic: string, { messages, bytes, oldest, newest }: Row): TopicSummary {
  const counts = { topic, messages: Number(messages ?? 0), bytes: Number(bytes ?? 0) };
  const isTold = (oldest ?? undefined) !== undefined && (newest ?? undefined) !== undefined;
  return isTold ? { ...counts, oldest: inMs(oldest), newest: inMs(newest) } : counts;
}

function inMs(seconds: unknown): number {
  return Math.round(Number(seconds) * 1_000);
}

/** Rejects with the error of MySQL or the connection. */
export async function countAll({ execute, layout }: MySqlContext): Promise<StoreTotals> {
  const { shape, payload } = layout.messages ?? {};
  if (shape === undefined) return { messages: 0, bytes: 0 };
  const bytes = payload === undefined ? "0" : `SUM(OCTET_LENGTH(${payload}))`;
  const { rows } = await execute(`SELECT COUNT(*) AS messages, ${bytes} AS bytes FROM ${shape.table}`);
  return { messages: Number(rows[0]?.messages ?? 0), bytes: Number(rows[0]?.bytes ?? 0) };
}
