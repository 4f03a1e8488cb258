// One broker or engine for each data directory: says what to do where another process has the lock.

import { lockDirectory } from "../sqlite/directory-lock.ts";
import { StartError } from "./cli-error.ts";

/** For a second broker or engine. */
const OTHER_DIRECTORY = "stop that one, or give this one a directory of its own with --data-dir";

/**
 * Takes the lock. Throws `StartError` when another broker or engine has it, with what to do about that. Where a lock is impossible, such as in a
 * directory that cannot be written, it returns a warning.
 */
export function lockDataDirectory(directory: string, whatToDo = OTHER_DIRECTORY): string | undefined {
  const { message, isTaken, cause } = lockDirectory(directory) ?? {};
  if (isTaken) throw new StartError(`${message}: ${whatToDo}`, { cause });
  return message;
}
