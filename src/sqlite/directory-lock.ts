// One process for each directory with stores: a lock that lasts as long as the process.
//
// Two on one store would both deliver its messages. The lock is one that SQLite holds on a database without content, because the
// kernel frees it however the process ends: nothing is left behind that a start would have to judge.

import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { makePrivateFile } from "../files/private-files.ts";

/** In the directory. */
export const LOCK_FILE = "omp.lock";
/** How long a process that is just ending is waited for, in ms. */
const PATIENCE = 1_000;

/** Held from here to the end of the process, which closes them. */
const held: DatabaseSync[] = [];

/** Takes the lock. Throws SQLite's error (`isLocked`: another process has it) or the system's, where a lock is impossible. */
export function lockDirectory(directory: string): void {
  const path = join(directory, LOCK_FILE);
  makePrivateFile(path);
  accessSync(path, constants.R_OK | constants.W_OK);
  // An import would keep a Node without SQLite from saying that it is too old.
  const sqlite = process.getBuiltinModule("node:sqlite");
  const lock = new sqlite.DatabaseSync(path, { timeout: PATIENCE });
  held.push(lock);
  // In this mode the lock of a transaction outlives it.
  lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT");
}
