// `omp backup`: everything that a data directory keeps, in one file, also while a broker runs on it.

import { rmSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { BackupError } from "../backup/backup-error.ts";
import { writeBackup } from "../backup/write-backup.ts";
import { version } from "../mqtt/version.ts";
import { backupContents } from "./backup-contents.ts";
import { StartError, UsageError } from "./cli-error.ts";
import { checkDataDirectory, type DataPaths, DEFAULT_DATA_DIRECTORY, dataPaths } from "./data-directory.ts";
import { describeOptions, parseArguments } from "./options.ts";
import { undoneBySignals } from "./signals.ts";

const OPTIONS = {
  "data-dir": { value: "DIR", help: `the broker's data directory (default ./${DEFAULT_DATA_DIRECTORY})` },
  force: { help: "replace FILE if it is there" },
  help: { short: "h", help: "show this help" },
} as const;

const HELP = `omp backup: write everything that a data directory keeps into one file

Usage: omp backup FILE [OPTION ...]

${describeOptions(OPTIONS)}
A broker may run on the directory meanwhile. FILE (such as backup.tar.gz) has messages, subscriptions, sessions, retained
messages, wills, configurations and installed plugins: also passwords, so that only its owner can read it. docs/backup.md
tells more; omp restore puts it back.

Exit codes: 0 done, 1 the machine does not allow it, 2 wrong option or configuration.
`;

/** Rejects with `CliError`. */
export async function backupCommand(args: readonly string[]): Promise<void> {
  const { given, values } = parseArguments("omp backup", OPTIONS, args, 1);
  if (given.help) {
    process.stdout.write(HELP);
    return;
  }
  const [name] = values;
  if (name === undefined || name === "") throw new UsageError("omp backup needs FILE: omp backup FILE");
  const paths = dataPaths(given["data-dir"] ?? DEFAULT_DATA_DIRECTORY);
  checkDataDirectory(paths);
  const { contents, remarks } = backupContents(paths);
  if (contents.databases.length + contents.files.length === 0) throw nothingError(paths);
  const file = resolve(name);
  const staging = `${file}.${process.pid}.tmp`;
  const target = { file, mayReplace: given.force === true, staging };
  const manifest = await undoneBySignals(
    () => writeBackup(contents, target, version()),
    () => rmSync(staging, { recursive: true, force: true }),
  ).catch((error: unknown) => {
    throw error instanceof BackupError ? new StartError(error.message, { cause: error }) : error;
  });
  for (const remark of remarks) process.stderr.write(`omp: ${remark}\n`);
  const what = summary(manifest.files).map(([name, size]) => `  ${name} (${size} bytes)\n`);
  process.stdout.write(`${file} (${statSync(file).size} bytes) has of ${paths.directory}:\n${what.join("")}`);
}

/** Each file with its size; the many of an installed package as one. */
function summary(files: readonly { readonly path: string; readonly size: number }[]): [name: string, size: number][] {
  const sizes = new Map<string, number>();
  for (const { path, size } of files) {
    const name = /^plugins\/[^/]+-\d[^/]*\//.exec(path)?.[0] ?? path;
    sizes.set(name, (sizes.get(name) ?? 0) + size);
  }
  return [...sizes];
}

function nothingError({ directory }: DataPaths): StartError {
  return new StartError(
    `there is nothing to back up in ${directory}: name the broker's data directory with --data-dir`,
  );
}
