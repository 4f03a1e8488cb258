// One broker for each data directory: a lock that lasts as long as the process.
//
// Two brokers on one store would both deliver its messages. The lock is one that SQLite holds on a database without
// content, because the kernel frees it however the process ends: nothing is left behind that a start would have to judge.

import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { makePrivateFile } from "../files/private-files.ts";
import { StartError, systemCause } from "./cli-error.ts";

const LOCK_FILE = "omp.lock";
/** How long a broker that is just ending is waited for, in ms. */
const PATIENCE = 1_000;
/** https://www.sqlite.org/rescode.html#busy */
const SQLITE_BUSY = 5;

/** Held from here to the end of the process, which closes them. */
const held: DatabaseSync[] = [];

/** For a second broker. */
const OTHER_DIRECTORY = "stop that one, or give this one a directory of its own with --data-dir";

/**
 * Takes the lock. Throws `StartError` when another broker has it, with what to do about that. Where a lock is impossible, such as in a directory
 * that cannot be written, it returns a warning.
 */
export function lockDataDirectory(directory: string, whatToDo = OTHER_DIRECTORY): string | undefined {
  const path = join(directory, LOCK_FILE);
  try {
    makePrivateFile(path);
    accessSync(path, constants.R_OK | constants.W_OK);
    const lock = new DatabaseSync(path, { timeout: PATIENCE });
    held.push(lock);
    // In this mode the lock of a transaction outlives it.
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT");
    return undefined;
  } catch (error) {
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) {
      throw new StartError(`another omp broker uses the data directory ${directory}: ${whatToDo}`, { cause: error });
    }
    return (
      `cannot lock ${path} (${systemCause(error)}): ` +
      "see to it that no other broker uses this data directory, or messages are delivered twice"
    );
  }
}
