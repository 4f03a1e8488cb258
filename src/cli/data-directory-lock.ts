// One broker or engine for each data directory: says what to do where another process has the lock.

import { join } from "node:path";
import { LOCK_FILE, lockDirectory } from "../sqlite/directory-lock.ts";
import { isLocked } from "../sqlite/problem.ts";
import { StartError, systemCause } from "./cli-error.ts";

/** For a second broker. */
const OTHER_DIRECTORY = "stop that one, or give this one a directory of its own with --data-dir";

/**
 * Takes the lock. Throws `StartError` when another broker or engine has it, with what to do about that. Where a lock is impossible, such as in a
 * directory that cannot be written, it returns a warning.
 */
export function lockDataDirectory(directory: string, whatToDo = OTHER_DIRECTORY): string | undefined {
  try {
    lockDirectory(directory);
    return undefined;
  } catch (error) {
    if (isLocked(error)) {
      const message = `another omp broker or engine for EMQX uses the data directory ${directory}: ${whatToDo}`;
      throw new StartError(message, { cause: error });
    }
    return (
      `cannot lock ${join(directory, LOCK_FILE)} (${systemCause(error)}): ` +
      "see to it that no other broker or engine uses this data directory, or messages are delivered twice"
    );
  }
}
