// One process for each directory with stores: a lock that lasts as long as the process.
//
// Two on one store would both deliver its messages. The lock is one that SQLite holds on a database without content, because the
// kernel frees it however the process ends: nothing is left behind that a start would have to judge.

import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { makePrivateFile } from "../files/private-files.ts";
import { systemCause } from "../files/system-cause.ts";
import { isLocked } from "./problem.ts";

/** In the directory. */
const LOCK_FILE = "omp.lock";
/** How long a process that is just ending is waited for, in ms. */
const PATIENCE = 1_000;

/** Held from here to the end of the process, which closes them. */
const held: DatabaseSync[] = [];

/** There is no lock. */
export interface LockFailure {
  /** Another process has it; otherwise a lock is impossible, such as in a directory that cannot be written. */
  readonly isTaken: boolean;
  /** A warning, or the first half of a sentence that tells what to do about the other process. */
  readonly message: string;
  readonly cause: unknown;
}

/** Takes the lock; undefined: this process has it. */
export function lockDirectory(directory: string): LockFailure | undefined {
  const path = join(directory, LOCK_FILE);
  try {
    lockFile(path);
    return undefined;
  } catch (cause) {
    const isTaken = isLocked(cause);
    const message = isTaken
      ? `another omp broker or engine for EMQX uses the data directory ${directory}`
      : `cannot lock ${path} (${systemCause(cause)}): ` +
        "see to it that no other broker or engine uses this data directory, or messages are delivered twice";
    return { isTaken, message, cause };
  }
}

/** Throws SQLite's error, or the system's. */
function lockFile(path: string): void {
  makePrivateFile(path);
  accessSync(path, constants.R_OK | constants.W_OK);
  // An import would keep a Node without SQLite from saying that it is too old.
  const sqlite = process.getBuiltinModule("node:sqlite");
  const lock = new sqlite.DatabaseSync(path, { timeout: PATIENCE });
  held.push(lock);
  // In this mode the lock of a transaction outlives it.
  lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT");
}
