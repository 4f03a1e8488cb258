// The raw store: the same rows, tables, indexes and pragmas as the store on SQLite, in a worker thread, with nothing else.
//
// Left out on purpose, so that the limit is no lower than it must be: counts per topic, checks, messages between threads.

import { parentPort, workerData } from "node:worker_threads";
import { MessageIdGenerator } from "../../src/mqtt/message-id.ts";
import { arrivedText } from "../../src/store/sqlite/arrived.ts";
import { Database } from "../../src/store/sqlite/database.ts";
import { Latencies } from "../load/latencies.ts";
import type { RawDrain, RawJob, RawResult, RawSave } from "./jobs.ts";

const INSERT = `
INSERT INTO mqtt_msg (msgid, topic, sender, qos, retain, payload, arrived, properties, expires_at)
VALUES (?, ?, ?, 1, 0, ?, ?, NULL, NULL)`;
const SELECT_PAGE = `
SELECT id, msgid, topic, sender, qos, retain, payload, arrived, properties, expires_at
FROM mqtt_msg WHERE topic = ? AND id > ? ORDER BY id LIMIT ?`;
const DELETE = "DELETE FROM mqtt_msg WHERE msgid = ?";

function save(database: Database, job: RawSave): RawResult {
  const { topics, payloadBytes, batch, warmUp, duration, remove } = job;
  const ids = new MessageIdGenerator();
  const payload = Buffer.alloc(payloadBytes, "x");
  const insert = database.statement(INSERT);
  const latencies = new Latencies();
  const removal = database.statement(DELETE);
  let toRemove: string[] = [];
  let messages = 0;
  const begin = performance.now();
  let measuredFrom = begin;
  let isWarm = false;
  let now = begin;
  while (now < begin + warmUp + duration) {
    if (!isWarm && now >= begin + warmUp) {
      isWarm = true;
      measuredFrom = now;
      messages = 0;
      latencies.clear();
    }
    const saved: string[] = [];
    database.connection.exec("BEGIN IMMEDIATE");
    for (const id of toRemove) removal.run(id);
    for (let index = 0; index < batch; index++) {
      const topic = topics[(messages + index) % topics.length] as string;
      const id = ids.next();
      saved.push(id);
      insert.run(id, topic, `bench-publisher-${index % topics.length}`, payload, arrivedText(Date.now()));
    }
    database.connection.exec("COMMIT");
    if (remove) toRemove = saved;
    messages += batch;
    const end = performance.now();
    latencies.record(end - now);
    now = end;
  }
  const seconds = (now - measuredFrom) / 1000;
  return { messages, seconds, p50: latencies.percentile(0.5), p99: latencies.percentile(0.99) };
}

function drain(database: Database, { topic, page, batch }: RawDrain): RawResult {
  const select = database.statement(SELECT_PAGE);
  const removal = database.statement(DELETE);
  let waiting: string[] = [];
  let messages = 0;
  let after = 0;
  const begin = performance.now();
  const remove = (count: number): void => {
    database.connection.exec("BEGIN IMMEDIATE");
    for (const id of waiting.slice(0, count)) removal.run(id);
    database.connection.exec("COMMIT");
    waiting = waiting.slice(count);
  };
  for (;;) {
    const rows = select.all(topic, after, page) as unknown as [id: number, msgid: string][];
    for (const [id, msgid] of rows) {
      waiting.push(msgid);
      after = id;
    }
    messages += rows.length;
    while (waiting.length >= batch) remove(batch);
    if (rows.length === 0) break;
  }
  if (waiting.length > 0) remove(waiting.length);
  return { messages, seconds: (performance.now() - begin) / 1000, p50: 0, p99: 0 };
}

const job = workerData as RawJob;
const database = new Database(
  {
    path: job.path,
    messageTtl: 0,
    maxMessages: 0,
    maxBytes: 0,
    maxMessagesPerTopic: 0,
    overflow: "reject",
    timeout: 5_000,
    maxPageCount: 0,
  },
  5_000,
);
const result: RawResult = job.kind === "save" ? save(database, job) : drain(database, job);
database.close();
parentPort?.postMessage(result);
