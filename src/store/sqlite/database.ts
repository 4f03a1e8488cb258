// One open connection: how it is opened and tuned, its prepared statements, and whether its file is still in place.

import { type Stats, statSync } from "node:fs";
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { openDatabase, setBusyTimeout } from "../../sqlite/open-database.ts";
import { ProblemError, unavailable } from "../../sqlite/problem.ts";
import { MIGRATIONS } from "./migrations/migrations.ts";
import type { WorkerOptions } from "./options.ts";
import { TopicCounters } from "./topic-counters.ts";

/** Not a value of PRAGMA data_version: the counters have to be read. */
const UNKNOWN_VERSION = -1;

export class Database {
  readonly connection: DatabaseSync;
  readonly options: WorkerOptions;
  readonly counters: TopicCounters;
  /** The row id up to which the sweep by age has looked; 0: it starts with the oldest message. */
  agedUpTo = 0;
  readonly #statements = new Map<string, StatementSync>();
  readonly #file: Stats;
  #dataVersion = UNKNOWN_VERSION;

  /** Opens or creates the file. Waits up to `busyTimeout` ms for a lock. Throws SQLite's errors and `ProblemError`. */
  constructor(options: WorkerOptions, busyTimeout: number) {
    this.options = options;
    const { path, maxPageCount } = options;
    this.connection = openDatabase({ path, busyTimeout, maxPageCount, migrations: MIGRATIONS });
    try {
      this.#file = statSync(options.path);
      this.counters = new TopicCounters(this);
      this.begin();
      this.commit();
    } catch (error) {
      this.connection.close();
      throw error;
    }
  }

  /** A prepared statement, kept for the life of the connection. Its rows come as arrays. */
  statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.connection.prepare(sql);
      statement.setReturnArrays(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** The one row of a statement, as an array; undefined when there is none. */
  row<Row extends readonly unknown[]>(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.statement(sql).get(...values) as Row | undefined;
  }

  rows<Row extends readonly unknown[]>(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.statement(sql).all(...values) as unknown as Row[];
  }

  pragma(name: string): number {
    return this.row<[number]>(`PRAGMA ${name}`)?.[0] ?? 0;
  }

  setBusyTimeout(milliseconds: number): void {
    setBusyTimeout(this.connection, milliseconds);
  }

  /** Another connection has written since this one last took account of it. */
  get changedByOthers(): boolean {
    return this.pragma("data_version") !== this.#dataVersion;
  }

  /** Begins a write transaction. Somebody else's writes since the last one are taken into account. */
  begin(): void {
    this.connection.exec("BEGIN IMMEDIATE");
    if (!this.changedByOthers) return;
    this.counters.load();
    this.#dataVersion = this.pragma("data_version");
  }

  commit(): void {
    this.counters.write();
    this.connection.exec("COMMIT");
    this.counters.committed();
  }

  /** Undoes the transaction, also when SQLite has done so already. */
  rollback(): void {
    if (this.connection.isTransaction) this.connection.exec("ROLLBACK");
    this.counters.rolledBack();
    this.agedUpTo = 0;
    this.#dataVersion = UNKNOWN_VERSION;
  }

  /** Throws `ProblemError` when the file is not the one that was opened: writes to a removed file go nowhere. */
  checkFile(): void {
    const file = statSync(this.options.path, { throwIfNoEntry: false });
    if (file?.ino === this.#file.ino && file.dev === this.#file.dev) return;
    throw new ProblemError(
      unavailable(
        `The database ${this.options.path} was removed or replaced while it was in use: do so only while the store is ` +
          "stopped. The file that is there now, or a new one, is opened.",
      ),
    );
  }

  close(): void {
    this.#statements.clear();
    this.connection.close();
  }
}
