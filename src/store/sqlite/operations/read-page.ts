// Reads one page of the messages whose topic matches a filter, in publish order.
//
// Three ways lead through the table, and each looks at a bounded number of rows per call, so that draining a store in
// pages costs time in proportion to what is stored, whatever the filter:
//
// - one topic: along the index on (topic, id);
// - several topics: along the parts of that index side by side;
// - many topics, or topics that hold most of the messages: along the table itself, comparing topics.

import { topicMatches } from "../../../mqtt/topic.ts";
import { arrivedText } from "../arrived.ts";
import type { Database } from "../database.ts";
import { PAGE_COLUMNS, PAGE_COLUMNS_WITHOUT_LARGE_PAYLOADS, PageBuilder, type PageRow } from "../page-builder.ts";
import type { PageColumns, ReadPage } from "../protocol.ts";
import { TopicMerge } from "../topic-merge.ts";
import { matchingTopics, type TopicRow } from "../topic-range.ts";

/** Topics looked at to find those that match; a filter whose range holds more goes along the table. */
const MAX_TOPICS = 1_024;
/** Rows looked at in one call besides those returned. */
const MAX_ROWS = 4_096;
/** What a merge costs for each topic, and for each message, measured in rows of a walk along the table. */
const MERGE_COST = 2;

const SELECT_OF_TOPIC = `SELECT ${PAGE_COLUMNS} FROM mqtt_msg WHERE topic = ?3 AND id > ?4 ORDER BY id LIMIT ?5`;
const SELECT_BY_ID = `SELECT ${PAGE_COLUMNS} FROM mqtt_msg WHERE id = ?3`;
const SELECT_ALL = `
SELECT ${PAGE_COLUMNS_WITHOUT_LARGE_PAYLOADS} FROM mqtt_msg WHERE id > ?1 ORDER BY id LIMIT ?2`;
const SELECT_ANY_OF_TOPIC = "SELECT 1 FROM mqtt_msg WHERE topic = ? AND id > ? LIMIT 1";
const SELECT_ANY = "SELECT 1 FROM mqtt_msg WHERE id > ? LIMIT 1";

export function readPage(database: Database, request: ReadPage): PageColumns {
  const { topicFilter } = request;
  if (!/[+#]/.test(topicFilter)) return readTopic(database, request, topicFilter);

  const { topics, after } = matchingTopics(database, topicFilter, undefined, MAX_TOPICS);
  if (after !== undefined) return readTable(database, request);
  if (topics.length === 0) return new PageBuilder(request, "").build(undefined);
  if (topics.length === 1) return readTopic(database, request, (topics[0] as TopicRow)[0]);

  let matching = 0;
  for (const [, messages] of topics) matching += messages;
  const rowsOfTable = (request.maxMessages * database.counters.messages) / Math.max(1, matching);
  const rowsOfMerge = (request.maxMessages + topics.length) * MERGE_COST;
  if (rowsOfTable <= rowsOfMerge) return readTable(database, request);
  return readTopics(
    database,
    request,
    topics.map(([topic]) => topic),
  );
}

function readTopic(database: Database, request: ReadPage, topic: string): PageColumns {
  const oldest = oldestKept(database, request.now);
  const page = new PageBuilder(request, oldest);
  const rows = database
    .statement(SELECT_OF_TOPIC)
    .iterate(request.now, oldest, topic, request.after, request.maxMessages + MAX_ROWS);
  let last = request.after;
  for (const row of rows as unknown as Iterable<PageRow>) {
    page.add(row);
    last = row[0];
    if (page.full) break;
  }
  return page.build(database.row(SELECT_ANY_OF_TOPIC, topic, last) === undefined ? undefined : last);
}

function readTopics(database: Database, request: ReadPage, topics: readonly string[]): PageColumns {
  const oldest = oldestKept(database, request.now);
  const page = new PageBuilder(request, oldest);
  const merge = new TopicMerge(database, topics, request.after);
  const maxRows = request.maxMessages + MAX_ROWS;
  let last = request.after;
  for (let looked = 0; looked < maxRows && !page.full; looked++) {
    const id = merge.next();
    if (id === undefined) break;
    const row = database.row<PageRow>(SELECT_BY_ID, request.now, oldest, id);
    if (row !== undefined) page.add(row);
    last = id;
  }
  return page.build(merge.ended ? undefined : last);
}

function readTable(database: Database, request: ReadPage): PageColumns {
  const oldest = oldestKept(database, request.now);
  const page = new PageBuilder(request, oldest);
  const rows = database.statement(SELECT_ALL).iterate(request.after, request.maxMessages + MAX_ROWS);
  let last = request.after;
  for (const row of rows as unknown as Iterable<PageRow>) {
    const [id, , topic] = row;
    if (topicMatches(request.topicFilter, topic)) {
      const isLarge = row[10] === 1;
      page.add(isLarge ? (database.row<PageRow>(SELECT_BY_ID, request.now, oldest, id) as PageRow) : row);
    }
    last = id;
    if (page.full) break;
  }
  return page.build(database.row(SELECT_ANY, last) === undefined ? undefined : last);
}

/** The `arrived` of the oldest message that message_ttl keeps. */
export function oldestKept(database: Database, now: number): string {
  const { messageTtl } = database.options;
  return messageTtl === 0 ? "" : arrivedText(now - messageTtl * 1000);
}
