// broker.db as its worker thread sees it: one request is one transaction or one page of a table.

import { statSync } from "node:fs";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { QoS } from "../../mqtt/message.ts";
import type { MessageId } from "../../mqtt/message-id.ts";
import { messageAt, propertiesFromJson, toColumns } from "../../sqlite/message-columns.ts";
import { openDatabase } from "../../sqlite/open-database.ts";
import { describe, isLocked, ProblemError, unavailable } from "../../sqlite/problem.ts";
import { type ReleaseResult, releasePages } from "../../sqlite/release-pages.ts";
import type { ReadRequest, Reply, Request, Rows, Value, WriteRequest } from "./protocol.ts";
import { COLUMNS, MIGRATIONS, TABLES, type Table } from "./schema.ts";

/** How long to wait for a lock of another process, in ms. */
const BUSY_TIMEOUT = 1_000;
/** Rows in one page, and bytes of payload at which it ends. */
const PAGE_ROWS = 5_000;
const PAGE_BYTES = 8 * 1024 * 1024;

const INSERT_MESSAGE = `
INSERT OR REPLACE INTO message (id, msgid, topic, sender, qos, retain, payload, arrived_at, properties, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;
const SELECT_MESSAGES = `
SELECT id, msgid, topic, sender, qos, retain, payload, arrived_at, properties, expires_at
FROM message WHERE id > ? ORDER BY id`;

type MessageRow = [
  id: number,
  msgid: MessageId,
  topic: string,
  sender: string,
  qos: QoS,
  retain: 0 | 1,
  payload: Uint8Array,
  arrivedAt: number,
  properties: string | null,
  expiresAt: number | null,
];

export class BrokerDatabase {
  readonly #path: string;
  #connection: DatabaseSync | undefined;
  /** Of the file that is open, or was the last; 0: none was. */
  #inode = 0;
  #isReplaced = false;
  readonly #statements = new Map<string, StatementSync>();

  constructor(path: string) {
    this.#path = path;
  }

  /** Never throws: what goes wrong is in the reply. The file is opened anew by the request after one that failed. */
  run(request: Request): Reply {
    try {
      if (this.#connection === undefined) this.#open();
      return request.kind === "read" ? this.#read(request) : this.#write(request);
    } catch (error) {
      if (!isLocked(error)) this.close();
      return { kind: "failed", problem: describe(error, this.#path) };
    }
  }

  /** One bounded step of giving free pages back to the file system, while there is nothing else to do. */
  releasePages(): ReleaseResult {
    if (this.#connection === undefined) return "finished";
    try {
      return releasePages(this.#connection);
    } catch (error) {
      // A lock is no problem here: the next quiet time will do. All else shows with the next request.
      if (!isLocked(error)) this.close();
      return "finished";
    }
  }

  close(): void {
    this.#statements.clear();
    this.#connection?.close();
    this.#connection = undefined;
  }

  #open(): void {
    this.#connection = openDatabase({
      path: this.#path,
      busyTimeout: BUSY_TIMEOUT,
      maxPageCount: 0,
      migrations: MIGRATIONS,
    });
    const { ino } = statSync(this.#path);
    if (this.#inode !== 0 && this.#inode !== ino) this.#isReplaced = true;
    this.#inode = ino;
  }

  #write(request: WriteRequest): Reply {
    if (this.#isReplaced && !request.isWhole) return { kind: "replaced" };
    const connection = this.#connection as DatabaseSync;
    connection.exec("BEGIN IMMEDIATE");
    try {
      if (request.isWhole) for (const table of [...TABLES, "message"]) this.#statement(`DELETE FROM ${table}`).run();
      this.#writeMessages(request);
      for (const table of TABLES) this.#writeTable(table, request);
      this.#statement("DELETE FROM watermark").run();
      this.#statement("INSERT INTO watermark (stored_up_to) VALUES (?)").run(request.storedUpTo);
      connection.exec("COMMIT");
    } catch (error) {
      if (connection.isTransaction) connection.exec("ROLLBACK");
      throw error;
    }
    if (statSync(this.#path, { throwIfNoEntry: false })?.ino !== this.#inode) {
      // The next file may get the same number.
      this.#isReplaced = true;
      throw new ProblemError(
        unavailable(
          `The database ${this.#path} was removed or replaced: do so only while the broker is stopped. All is written anew.`,
        ),
      );
    }
    this.#isReplaced = false;
    return { kind: "written" };
  }

  #writeTable(table: Table, { changes }: WriteRequest): void {
    const { rows, removed } = changes[table] ?? { rows: [], removed: [] };
    if (removed.length > 0) {
      const remove = this.#statement(`DELETE FROM ${table} WHERE id = ?`);
      for (const id of removed) remove.run(id);
    }
    if (rows.length === 0) return;
    const columns = COLUMNS[table];
    const marks = columns.map(() => "?").join(", ");
    const insert = this.#statement(`INSERT OR REPLACE INTO ${table} (${columns.join(", ")}) VALUES (${marks})`);
    for (let at = 0; at < rows.length; at += columns.length) insert.run(...rows.slice(at, at + columns.length));
  }

  #writeMessages({ messages, messageRowIds, removedMessages }: WriteRequest): void {
    const remove = this.#statement("DELETE FROM message WHERE id = ?");
    for (const id of removedMessages) remove.run(id);
    const insert = this.#statement(INSERT_MESSAGE);
    for (const [at, rowId] of messageRowIds.entries()) {
      const { id, topic, from, qos, retain, payload, timestamp, expiresAt } = messageAt(messages, at);
      const properties = messages.properties[at] ?? null;
      insert.run(rowId, id, topic, from, qos, retain ? 1 : 0, payload, timestamp, properties, expiresAt ?? null);
    }
  }

  #read({ table, after }: ReadRequest): Reply {
    if (table === "message") return this.#readMessages(after);
    if (table === "watermark") {
      return {
        kind: "rows",
        rows: (this.#statement("SELECT stored_up_to FROM watermark").all() as unknown as Value[][]).flat(),
      };
    }
    const select = `SELECT ${COLUMNS[table].join(", ")} FROM ${table} WHERE id > ? ORDER BY id LIMIT ?`;
    const rows = this.#statement(select).all(after, PAGE_ROWS) as unknown as Value[][];
    return { kind: "rows", rows: rows.flat(), ...nextOf(rows.length === PAGE_ROWS, rows.at(-1)?.[0]) };
  }

  #readMessages(after: number): Rows {
    const rows: MessageRow[] = [];
    let bytes = 0;
    let isFull = false;
    for (const row of this.#statement(SELECT_MESSAGES).iterate(after) as Iterable<unknown>) {
      rows.push(row as MessageRow);
      bytes += (row as MessageRow)[6].length;
      isFull = rows.length >= PAGE_ROWS || bytes >= PAGE_BYTES;
      if (isFull) break;
    }
    const messages = toColumns(
      rows.map(([, id, topic, from, qos, retain, payload, timestamp, properties, expiresAt]) => ({
        id,
        topic,
        from,
        qos,
        retain: retain === 1,
        payload,
        timestamp,
        properties: propertiesFromJson(properties),
        expiresAt: expiresAt ?? undefined,
      })),
    );
    return { kind: "rows", rows: rows.map(([id]) => id), messages, ...nextOf(isFull, rows.at(-1)?.[0]) };
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = (this.#connection as DatabaseSync).prepare(sql);
      statement.setReturnArrays(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function nextOf(isFull: boolean, last: Value | undefined): { next?: number } {
  return isFull ? { next: Number(last) } : {};
}
