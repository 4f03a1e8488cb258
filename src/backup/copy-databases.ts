// Copies databases while their owner goes on writing.
//
// The copies are taken as if the broker had been killed just then, and it starts from them as after a kill. What it
// promises after a kill rests on one order: a message is in messages.db before broker.db (which session is owed it, up to
// which message it is complete) knows of it, and is acknowledged only when it is in both. So broker.db must be the older
// one of the two. Then what changes between the two copies is, at worst,
//
// - a message that messages.db has and broker.db does not know yet: sessions get it from the store when they resume;
// - a delivery that broker.db still owes, and whose message a client has acknowledged: it comes again.
//
// The other way round broker.db could name a publish as taken that is not in messages.db, and it would be lost.
//
// Neither must the copying itself come between: a read transaction on each database, begun one right after the other before
// anything is copied, holds both as they are at that moment. It also keeps SQLite from beginning the copy anew at
// each commit of the broker, and holds up nobody: the write-ahead log only grows for as long as the copying takes.

import { backup, DatabaseSync } from "node:sqlite";
import { makePrivateFile } from "../files/private-files.ts";
import { describe } from "../sqlite/problem.ts";
import { BackupError } from "./backup-error.ts";

/** How long a lock is waited for, in ms. */
const BUSY_TIMEOUT = 5_000;
/** Copied in one go: 16 MiB. */
const PAGES = 4_096;

export interface DatabaseCopy {
  readonly source: string;
  /** A file that is not there yet. */
  readonly target: string;
}

/** Copies each as it is when this is called; the first may be older than the next. Rejects with `BackupError`. */
export async function copyDatabases(copies: readonly DatabaseCopy[]): Promise<void> {
  const opened: DatabaseSync[] = [];
  try {
    for (const { source } of copies) opened.push(hold(source));
    for (const [at, { source, target }] of copies.entries()) {
      try {
        makePrivateFile(target);
        await backup(opened[at] as DatabaseSync, target, { rate: PAGES });
      } catch (error) {
        throw problem(error, source);
      }
    }
  } finally {
    for (const database of opened) database.close();
  }
}

/** The database, in a transaction that sees it as it is now. */
function hold(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT });
    database.exec("BEGIN");
    database.prepare("SELECT count(*) FROM sqlite_schema").get();
    return database;
  } catch (error) {
    database?.close();
    throw problem(error, path);
  }
}

function problem(error: unknown, path: string): BackupError {
  return new BackupError(`${path} cannot be copied. ${describe(error, path).message}`, { cause: error });
}
