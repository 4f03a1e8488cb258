// `omp restore`: puts what `omp backup` wrote into a data directory, all of it or nothing.

import { existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { BackupError, BackupInvalidError } from "../backup/backup-error.ts";
import { checkDatabases } from "../backup/check-databases.ts";
import { DATA, type Manifest } from "../backup/manifest.ts";
import { dataIn, isHalfRestored, placeRestored, STAGING } from "../backup/place-restored.ts";
import { unpackBackup } from "../backup/unpack-backup.ts";
import { systemCause } from "../files/system-cause.ts";
import { StartError, UsageError } from "./cli-error.ts";
import {
  checkDataDirectory,
  type DataPaths,
  DEFAULT_DATA_DIRECTORY,
  dataPaths,
  makeDataDirectory,
} from "./data-directory.ts";
import { lockDataDirectory } from "./data-directory-lock.ts";
import { describeOptions, parseArguments } from "./options.ts";
import { undoneBySignals } from "./signals.ts";

const OPTIONS = {
  "data-dir": { value: "DIR", help: `the data directory to make (default ./${DEFAULT_DATA_DIRECTORY})` },
  force: { help: "put aside what the directory has" },
  help: { short: "h", help: "show this help" },
} as const;

const HELP = `omp restore: make a data directory of what omp backup has written

Usage: omp restore FILE [OPTION ...]

${describeOptions(OPTIONS)}
No broker may run on the directory. The whole of FILE is checked before anything is changed, and restored wholly or not at
all. Restore only what you trust: a backup can have plugins in it, which the broker runs. docs/backup.md tells more.

Exit codes: 0 done, 1 it cannot be restored, 2 wrong option.
`;

/** Rejects with `CliError`. */
export async function restoreCommand(args: readonly string[]): Promise<void> {
  const { given, values } = parseArguments("omp restore", OPTIONS, args, 1);
  if (given.help) {
    process.stdout.write(HELP);
    return;
  }
  const [name] = values;
  if (name === undefined || name === "") throw new UsageError("omp restore needs FILE: omp restore FILE");
  const paths = dataPaths(given["data-dir"] ?? DEFAULT_DATA_DIRECTORY);
  const file = resolve(name);
  checkFile(file);
  checkDataDirectory(paths);
  const firstMade = firstMissing(paths.directory);
  let undo = () => {};
  const { manifest, aside } = await undoneBySignals(
    async () => {
      try {
        makeDataDirectory(paths);
        lock(paths);
        // Before, the directory is another's.
        undo = () => undoRestore(paths, firstMade);
        return await restore(file, paths, given.force === true);
      } catch (error) {
        undo();
        const isTold = error instanceof BackupError || error instanceof BackupInvalidError;
        throw isTold ? new StartError(error.message, { cause: error }) : error;
      }
    },
    () => undo(),
  );
  process.stdout.write(
    `${paths.directory} is as it was at ${manifest.created} (omp ${manifest.version}).\n` +
      (aside === undefined ? "" : `What it had before is in ${aside}.\n`),
  );
}

async function restore(
  file: string,
  { directory }: DataPaths,
  isForced: boolean,
): Promise<{ readonly manifest: Manifest; readonly aside?: string }> {
  const refuseData = (manifest: Pick<Manifest, "files">): boolean => {
    const [found] = dataIn(directory, manifest);
    if (found === undefined || isForced) return found !== undefined;
    const message = `${directory} has data already (${found}): name another directory with --data-dir, or put that aside with --force`;
    throw new StartError(message);
  };
  refuseData({ files: [] });
  const staging = join(directory, STAGING);
  const data = join(staging, DATA);
  prepare(staging, data);
  const manifest = await unpackBackup(file, data);
  checkDatabases(data, manifest);
  const hasData = refuseData(manifest);
  const aside = join(
    directory,
    `before-restore-${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "")}-${process.pid}`,
  );
  placeRestored(directory, manifest, aside);
  rmSync(staging, { recursive: true, force: true });
  return hasData ? { manifest, aside } : { manifest };
}

function lock({ directory }: DataPaths): void {
  const problem = lockDataDirectory(directory, "stop it, and restore then");
  if (problem !== undefined) throw new StartError(problem);
}

function prepare(staging: string, data: string): void {
  try {
    rmSync(staging, { recursive: true, force: true });
    mkdirSync(staging, { mode: 0o700 });
    mkdirSync(data, { mode: 0o700 });
  } catch (error) {
    throw new StartError(`cannot make ${staging}: ${systemCause(error)}: give this user the right to`, {
      cause: error,
    });
  }
}

function checkFile(file: string): void {
  try {
    if (statSync(file).isFile()) return;
  } catch (error) {
    throw new StartError(`${file} cannot be read: ${systemCause(error)}`, { cause: error });
  }
  throw new StartError(`${file} is no file: name one that omp backup has written`);
}

/** The first directory of a path that is not there. */
function firstMissing(directory: string): string | undefined {
  if (existsSync(directory)) return undefined;
  const parent = dirname(directory);
  return firstMissing(parent) ?? directory;
}

/** What is in its place already stays. */
function undoRestore({ directory }: DataPaths, firstMade: string | undefined): void {
  if (isHalfRestored(directory)) return;
  rmSync(firstMade ?? join(directory, STAGING), { recursive: true, force: true });
}
