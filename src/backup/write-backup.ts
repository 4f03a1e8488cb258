// Writes a backup: everything is copied into a directory beside the file first, and the file appears when it is whole.

import {
  closeSync,
  copyFileSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { create } from "tar";
import { makePrivateDirectory } from "../files/private-files.ts";
import { BackupError } from "./backup-error.ts";
import { copyDatabases } from "./copy-databases.ts";
import { DATA, type DatabaseKind, MANIFEST, MAX_FILE, type Manifest, newManifest } from "./manifest.ts";

/** Little work beside a busy broker: messages are mostly small and alike. */
const GZIP_LEVEL = 1;
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** What a data directory has that is worth keeping. Paths are seen from it, with `/` between their parts. */
export interface BackupContents {
  readonly directory: string;
  /** In the order in which they may be of different age: the first is the oldest. */
  readonly databases: readonly { readonly path: string; readonly kind: DatabaseKind }[];
  readonly files: readonly string[];
}

export interface BackupTarget {
  readonly file: string;
  readonly mayReplace: boolean;
  /** A directory on the same disk that is made for the time being. Who ends the process early removes it. */
  readonly staging: string;
}

/** Writes the file, for its owner only. Rejects with `BackupError`; then nothing is left. */
export async function writeBackup(
  { directory, databases, files }: BackupContents,
  { file, mayReplace, staging }: BackupTarget,
  version: string,
): Promise<Manifest> {
  try {
    checkTarget(file, mayReplace);
    mkdirSync(staging, { mode: DIRECTORY_MODE });
    try {
      const data = join(staging, DATA);
      for (const path of [...databases.map(({ path }) => path), ...files])
        makePrivateDirectory(dirname(join(data, path)));
      const created = new Date();
      await copyDatabases(databases.map(({ path }) => ({ source: join(directory, path), target: join(data, path) })));
      for (const path of files) copyFile(join(directory, path), join(data, path));
      const sized = (path: string) => ({ path, size: statSync(join(data, path)).size });
      const manifest = newManifest(version, created, [
        ...databases.map(({ path, kind }) => ({ ...sized(path), database: kind })),
        ...files.map(sized),
      ]);
      writeFileSync(join(staging, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, { mode: FILE_MODE });
      const archive = join(staging, "backup.tar.gz");
      await create(
        {
          file: archive,
          cwd: staging,
          gzip: { level: GZIP_LEVEL },
          portable: true,
          mode: FILE_MODE,
          noDirRecurse: true,
          strict: true,
        },
        [MANIFEST, ...manifest.files.map(({ path }) => `${DATA}/${path}`)],
      );
      sync(archive);
      checkTarget(file, mayReplace);
      renameSync(archive, file);
      return manifest;
    } finally {
      rmSync(staging, { recursive: true, force: true });
    }
  } catch (error) {
    if (error instanceof BackupError) throw error;
    throw new BackupError(`${file} cannot be written (${(error as Error).message}): nothing is left of it`, {
      cause: error,
    });
  }
}

function checkTarget(file: string, mayReplace: boolean): void {
  const there = statSync(file, { throwIfNoEntry: false });
  if (there === undefined || (mayReplace && there.isFile())) return;
  throw new BackupError(
    there.isFile()
      ? `${file} is there already: name another file, or replace it with --force`
      : `${file} is no file: name another`,
  );
}

function copyFile(from: string, to: string): void {
  if (statSync(from).size > MAX_FILE) throw new BackupError(`${from} has more than ${MAX_FILE} bytes: move it away`);
  copyFileSync(from, to);
}

function sync(path: string): void {
  const file = openSync(path, "r+");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
