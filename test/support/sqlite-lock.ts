// Another user's write lock on an SQLite file, which keeps the program under test from writing.

import { DatabaseSync } from "node:sqlite";

/** How long to wait for who has the lock at the moment, in ms: what is being written, or tidied up, comes to its end. */
export const LOCK_PATIENCE = 10_000;

/** Takes the lock; closing what it returns gives it back. */
export function lockDatabase(path: string): DatabaseSync {
  const file = new DatabaseSync(path, { timeout: LOCK_PATIENCE });
  file.exec("BEGIN IMMEDIATE");
  return file;
}
