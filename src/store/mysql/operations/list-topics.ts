// Counts the messages of topics, and of all.

import { topicMatches } from "../../../mqtt/topic.ts";
import type { StoreTotals, TopicSummary, TopicsRequest } from "../../store.ts";
import type { MySqlContext } from "../context.ts";
import { topicsAreExact } from "../layout.ts";
import { bytesOfText } from "../table-shape.ts";
import { beginCondition } from "./find-topics.ts";

/** Topics in one round trip. */
const TOPICS = 512;
/** GROUP BY takes a column of the table before a name that the statement gives: no table has one of this name. */
const NAME = "omp_topic";

/** One page of topics with their counts, in the order of their bytes. Rejects with the error of MySQL or the connection. */
export async function listTopics(
  { execute, layout }: MySqlContext,
  { topicFilter, after, limit }: TopicsRequest,
): Promise<TopicSummary[]> {
  const { messages } = layout;
  if (messages?.topic === undefined) return [];
  const column = topicsAreExact(messages) ? messages.topic : bytesOfText(messages.topic);
  const value = topicsAreExact(messages) ? "?" : "CAST(? AS BINARY)";
  const bytes = messages.payload === undefined ? "0" : `SUM(OCTET_LENGTH(${messages.payload}))`;
  const begin = beginCondition(messages, topicFilter);
  const sql = `SELECT ${column} AS ${NAME}, COUNT(*) AS messages, ${bytes} AS bytes FROM ${messages.shape.table} WHERE ${begin.sql} AND ${column} > ${value} GROUP BY ${NAME} ORDER BY ${NAME} LIMIT ${TOPICS}`;
  const found: TopicSummary[] = [];
  for (let last = after ?? ""; ; ) {
    const { rows } = await execute(sql, [...begin.values, last]);
    for (const row of rows) {
      const topic = String(row[NAME]);
      if (!topicMatches(topicFilter, topic)) continue;
      found.push({ topic, messages: Number(row.messages), bytes: Number(row.bytes ?? 0) });
      if (found.length === limit) return found;
    }
    if (rows.length < TOPICS) return found;
    last = String(rows.at(-1)?.[NAME]);
  }
}

/** Rejects with the error of MySQL or the connection. */
export async function countAll({ execute, layout }: MySqlContext): Promise<StoreTotals> {
  const { shape, payload } = layout.messages ?? {};
  if (shape === undefined) return { messages: 0, bytes: 0 };
  const bytes = payload === undefined ? "0" : `SUM(OCTET_LENGTH(${payload}))`;
  const { rows } = await execute(`SELECT COUNT(*) AS messages, ${bytes} AS bytes FROM ${shape.table}`);
  return { messages: Number(rows[0]?.messages ?? 0), bytes: Number(rows[0]?.bytes ?? 0) };
}
