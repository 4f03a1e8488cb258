// Puts what was restored in its place: renames on one disk, taken back when one of them fails.
//
// Everything lies ready in `.restore` in the data directory itself, which may be a disk of its own. A process that is
// killed between two renames would leave half of the one and half of the other; a file tells that renaming has begun, and a broker
// does not start where it is still there.

import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BackupError } from "./backup-error.ts";
import { DATA, type Manifest } from "./manifest.ts";

/** In the data directory, while it is restored. */
export const STAGING = ".restore";
const BEGUN = "begun";
const SQLITE_ENDINGS = ["", "-wal", "-shm"];
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** A restore was killed while it put files in place. */
export function isHalfRestored(directory: string): boolean {
  return existsSync(join(directory, STAGING, BEGUN));
}

/** What a data directory has in the places of what is restored, and of what belongs to that. */
export function dataIn(directory: string, { files }: Pick<Manifest, "files">): string[] {
  const names = new Set(["omp.hocon", "plugins", ...SQLITE_ENDINGS.map((ending) => `broker.db${ending}`)]);
  for (const { path, database } of files) {
    const top = topOf(path);
    for (const ending of database !== undefined && top === path ? SQLITE_ENDINGS : [""]) names.add(top + ending);
  }
  return [...names].filter((name) => existsSync(join(directory, name)));
}

/**
 * Moves what is there into the directory `aside`, and the restored files from the staging directory to their places. Throws
 * `BackupError`; then everything is as it was.
 */
export function placeRestored(directory: string, manifest: Manifest, aside: string): void {
  const staging = join(directory, STAGING);
  const old = dataIn(directory, manifest);
  const restored = new Set(manifest.files.map(({ path }) => topOf(path)));
  const moves = [
    ...old.map((name) => [join(directory, name), join(aside, name)] as const),
    ...[...restored].map((name) => [join(staging, DATA, name), join(directory, name)] as const),
  ];
  const done: (readonly [from: string, to: string])[] = [];
  try {
    if (old.length > 0) mkdirSync(aside, { mode: DIRECTORY_MODE });
    closeSync(openSync(join(staging, BEGUN), "w", FILE_MODE));
    for (const move of moves) {
      renameSync(...move);
      done.push(move);
    }
  } catch (error) {
    const cause = (error as Error).message;
    undo(
      done,
      `What was restored cannot be put in its place (${cause}), and neither can what was there: it is in ${aside}`,
    );
    rmSync(join(staging, BEGUN), { force: true });
    if (old.length > 0) rmSync(aside, { recursive: true, force: true });
    throw new BackupError(`What was restored cannot be put in its place (${cause}): nothing was changed`, {
      cause: error,
    });
  }
  rmSync(join(staging, BEGUN));
}

function undo(moves: (readonly [from: string, to: string])[], failure: string): void {
  try {
    for (const [from, to] of moves.reverse()) renameSync(to, from);
  } catch (error) {
    throw new BackupError(failure, { cause: error });
  }
}

function topOf(path: string): string {
  return path.split("/")[0] ?? path;
}
