// Opens an SQLite file for one writer that must not lose what it has committed, and brings its tables up to date.

import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { makePrivateDirectory, makePrivateFile } from "../files/private-files.ts";
import { migrate } from "./migrate.ts";
import { ProblemError, unavailable } from "./problem.ts";

/** Page cache, in KiB. */
const CACHE_SIZE = 2_048;
/** Pages in the write-ahead log at which a commit copies them into the database: 16 MiB. */
const WAL_AUTOCHECKPOINT = 4_000;
/** The write-ahead log keeps no more than this when it starts over, in bytes. */
const JOURNAL_SIZE_LIMIT = 32 * 1024 * 1024;

export interface OpenOptions {
  readonly path: string;
  /** How long to wait for a lock, in ms. */
  readonly busyTimeout: number;
  /** Pages of 4,096 bytes that the file may take; 0: SQLite's own limit. */
  readonly maxPageCount: number;
  /** As `migrate` takes them. */
  readonly migrations: readonly string[];
}

/** Opens or makes the file, readable for its owner only; a commit is durable. Throws SQLite's errors and `ProblemError`. */
export function openDatabase({ path, busyTimeout, maxPageCount, migrations }: OpenOptions): DatabaseSync {
  makeFile(path);
  const connection = new DatabaseSync(path);
  try {
    setBusyTimeout(connection, busyTimeout);
    // Has an effect on a new file only, and only before its first table.
    connection.exec("PRAGMA auto_vacuum = INCREMENTAL");
    connection.exec("PRAGMA journal_mode = WAL");
    connection.exec("PRAGMA synchronous = FULL");
    connection.exec("PRAGMA temp_store = MEMORY");
    connection.exec(`PRAGMA cache_size = -${CACHE_SIZE}`);
    connection.exec(`PRAGMA wal_autocheckpoint = ${WAL_AUTOCHECKPOINT}`);
    connection.exec(`PRAGMA journal_size_limit = ${JOURNAL_SIZE_LIMIT}`);
    if (maxPageCount > 0) connection.exec(`PRAGMA max_page_count = ${maxPageCount}`);
    migrate(connection, path, migrations);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** How long the connection waits for a lock from now on, in ms. */
export function setBusyTimeout(connection: DatabaseSync, milliseconds: number): void {
  connection.exec(`PRAGMA busy_timeout = ${Math.max(0, Math.floor(milliseconds))}`);
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
