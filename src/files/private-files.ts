// Makes directories and files that only their owner may read: messages and passwords lie in them.

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

/**
 * Makes the directory and those above it that are missing, one after the other: with `recursive`, Node tries for ever
 * where the file system lets nobody make one, such as below /proc. Directories that are there keep their mode. Throws
 * the system's error.
 */
export function makePrivateDirectory(directory: string): void {
  if (isDirectory(directory)) return;
  const parent = dirname(directory);
  if (parent !== directory && statSync(parent, { throwIfNoEntry: false }) === undefined) makePrivateDirectory(parent);
  try {
    mkdirSync(directory, { mode: DIRECTORY_MODE });
  } catch (error) {
    // Another process may have made it in the meantime.
    if (!isDirectory(directory)) throw error;
  }
}

/**
 * Makes an empty file. One that is there is not even opened: closing it would give up the locks that this process holds
 * on it. Throws the system's error.
 */
export function makePrivateFile(path: string): void {
  try {
    closeSync(openSync(path, "wx", FILE_MODE));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** The whole new content or nothing: it is written beside the file, and then renamed. Throws the system's error. */
export function writePrivateFile(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, "w", FILE_MODE);
  try {
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Removes what a killed process was writing beside this file. Throws the system's error. */
export function removeUnfinished(path: string): void {
  const name = basename(path);
  const isUnfinished = (file: string) => file.startsWith(`${name}.`) && /^\d+\.tmp$/.test(file.slice(name.length + 1));
  if (!isDirectory(dirname(path))) return;
  for (const file of readdirSync(dirname(path)).filter(isUnfinished))
    rmSync(join(dirname(path), file), { force: true });
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
