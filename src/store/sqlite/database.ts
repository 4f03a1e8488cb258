// One open connection: how it is opened and tuned, its prepared statements, and whether its file is still in place.

import { type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { makePrivateDirectory, makePrivateFile } from "../private-files.ts";
import { migrate } from "./migrations/migrate.ts";
import type { WorkerOptions } from "./options.ts";
import { ProblemError, unavailable } from "./problem.ts";
import { TopicCounters } from "./topic-counters.ts";

/** Page cache, in KiB. */
const CACHE_SIZE = 2_048;
/** Pages in the write-ahead log at which a commit copies them into the database: 16 MiB. */
const WAL_AUTOCHECKPOINT = 4_000;
/** The write-ahead log keeps no more than this when it starts over, in bytes. */
const JOURNAL_SIZE_LIMIT = 32 * 1024 * 1024;
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
    makeFile(options.path);
    this.connection = new DatabaseSync(options.path);
    try {
      this.setBusyTimeout(busyTimeout);
      // Has an effect on a new file only, and only before its first table.
      this.connection.exec("PRAGMA auto_vacuum = INCREMENTAL");
      this.connection.exec("PRAGMA journal_mode = WAL");
      this.connection.exec("PRAGMA synchronous = FULL");
      this.connection.exec("PRAGMA temp_store = MEMORY");
      this.connection.exec(`PRAGMA cache_size = -${CACHE_SIZE}`);
      this.connection.exec(`PRAGMA wal_autocheckpoint = ${WAL_AUTOCHECKPOINT}`);
      this.connection.exec(`PRAGMA journal_size_limit = ${JOURNAL_SIZE_LIMIT}`);
      if (options.maxPageCount > 0) this.connection.exec(`PRAGMA max_page_count = ${options.maxPageCount}`);
      migrate(this.connection, options.path);
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
    this.connection.exec(`PRAGMA busy_timeout = ${Math.max(0, Math.floor(milliseconds))}`);
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

/** SQLite would make a file that all may read; those beside it get the rights that this one has. */
function makeFile(path: string): void {
  const directory = dirname(path);
  attempt(() => makePrivateDirectory(directory), `The directory ${directory} cannot be made`);
  attempt(() => makePrivateFile(path), `The database ${path} cannot be opened, since it cannot be made`);
}

function attempt(make: () => void, failure: string): void {
  try {
    make();
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new ProblemError(unavailable(`${failure} (${said}): give this user the right to, or name another.`));
  }
}
