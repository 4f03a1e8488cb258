// Raw MariaDB: rows of several messages in one statement, prepared by the same library in a worker thread, with nothing else; and
// one row after the other, as EMQX's plugin sends them.

import { parentPort, workerData } from "node:worker_threads";
import { type Connection, createConnection, type ResultSetHeader, type RowDataPacket } from "mysql2/promise";
import { MessageIdGenerator } from "../../src/mqtt/message-id.ts";
import type { MariadbPlace } from "../../test/support/mariadb.ts";
import type { SaveWork } from "../database.ts";
import type { RawResult } from "./jobs.ts";
import { measure } from "./measure.ts";
import type { ServerWork } from "./server-jobs.ts";

/** So that the next statement is ready when the answer to the one before has come. */
const LANES = 2;
const GROUP = "(?, ?, ?, ?, ?, ?, FROM_UNIXTIME(? / 1000))";

const ids = new MessageIdGenerator();
const { place, job } = workerData as ServerWork<MariadbPlace>;

function connect(): Promise<Connection> {
  const { host, port, database, username, password } = place;
  return createConnection({ host, port, database, user: username, password, charset: "utf8mb4_bin" });
}

function insert(rows: number): string {
  const groups = new Array<string>(rows).fill(GROUP).join(", ");
  return `insert into mqtt_msg(msgid, sender, topic, qos, retain, payload, arrived) values ${groups}`;
}

async function save(work: SaveWork, batch: number, connections: readonly Connection[]): Promise<RawResult> {
  const payload = Buffer.alloc(work.payloadBytes, "x");
  const sql = insert(batch);
  let number = 0;
  const step = (connection: Connection) => async (): Promise<number> => {
    const values: (string | number | Buffer)[] = [];
    for (let row = 0; row < batch; row++) {
      const topic = work.topics[number++ % work.topics.length] as string;
      values.push(ids.next(), "bench", topic, 1, 0, payload, Date.now());
    }
    await connection.execute(sql, values);
    return batch;
  };
  return measure(work, connections.map(step));
}

async function drain(connection: Connection, topic: string, page: number): Promise<RawResult> {
  let messages = 0;
  const begin = performance.now();
  for (let after = 0; ; ) {
    const [rows] = await connection.execute<RowDataPacket[]>(
      `SELECT * FROM mqtt_msg WHERE topic = ? AND id > ? ORDER BY id LIMIT ${page}`,
      [topic, after],
    );
    if (rows.length === 0) break;
    const found = rows.map(({ id }) => id as number);
    const list = found.map(() => "?").join(", ");
    await connection.execute<ResultSetHeader>(`DELETE FROM mqtt_msg WHERE id IN (${list})`, found);
    messages += rows.length;
    after = found.at(-1) as number;
  }
  return { messages, seconds: (performance.now() - begin) / 1000, p50: 0, p99: 0 };
}

async function perform(): Promise<RawResult> {
  const count = job.kind === "oneByOne" ? job.connections : 1;
  const connections = await Promise.all(Array.from({ length: count }, connect));
  const [first] = connections as [Connection];
  let result: RawResult;
  if (job.kind === "drain") result = await drain(first, job.topic, job.page);
  else if (job.kind === "save") result = await save(job, job.batch, new Array<Connection>(LANES).fill(first));
  else result = await save(job, 1, connections);
  await Promise.all(connections.map((connection) => connection.end()));
  return result;
}

parentPort?.postMessage(await perform());
