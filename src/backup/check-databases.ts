// Makes databases of a backup ready for a broker to start on: they are whole, of a release that is known, and what
// they say of exchanges that were under way is forgotten.
//
// A Packet Identifier of a QoS 2 publish that was not released when the backup was made may by now be that of another message:
// to take that for a repetition would lose it. Forgotten, a repetition is stored again, which is only a duplicate.

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { MIGRATIONS as BROKER_MIGRATIONS } from "../broker/persistence/schema.ts";
import { concernsOneCall, describe } from "../sqlite/problem.ts";
import { MIGRATIONS as STORE_MIGRATIONS } from "../store/sqlite/migrations/migrations.ts";
import { BackupError, BackupInvalidError } from "./backup-error.ts";
import type { DatabaseKind, Manifest } from "./manifest.ts";

interface Kind {
  /** The newest schema that is known. */
  readonly schema: number;
  /** SQL, and the schema from which on it can be run. */
  readonly forget: { readonly from: number; readonly sql: string };
}

const KINDS: Readonly<Record<DatabaseKind, Kind>> = {
  broker: { schema: BROKER_MIGRATIONS.length, forget: { from: 1, sql: "DELETE FROM incoming_publish" } },
  messages: {
    schema: STORE_MIGRATIONS.length,
    forget: { from: 2, sql: "UPDATE mqtt_msg SET packet_id = NULL WHERE packet_id IS NOT NULL" },
  },
};

/** Throws `BackupInvalidError` for one that is damaged or of a newer release, and `BackupError`. */
export function checkDatabases(directory: string, { files }: Manifest): void {
  for (const { path, database } of files) {
    if (database === undefined) continue;
    const file = join(directory, path);
    try {
      checkDatabase(file, path, KINDS[database]);
    } catch (error) {
      if (error instanceof BackupInvalidError) throw error;
      const isDamaged = isOfContent(error) || concernsOneCall(error);
      if (isDamaged)
        throw new BackupInvalidError(`The backup's ${path} is damaged (${(error as Error).message})`, { cause: error });
      throw new BackupError(describe(error, file).message, { cause: error });
    }
  }
}

function checkDatabase(file: string, path: string, { schema, forget }: Kind): void {
  const database = new DatabaseSync(file);
  try {
    database.exec("PRAGMA trusted_schema = OFF; PRAGMA synchronous = FULL");
    const [found] = Object.values(database.prepare("PRAGMA integrity_check(1)").get() ?? {});
    if (found !== "ok")
      throw new BackupInvalidError(`The backup's ${path} is damaged (${String(found).replaceAll("\n", " ")})`);
    const version = Number(database.prepare("PRAGMA user_version").get()?.user_version);
    if (version > schema) {
      throw new BackupInvalidError(
        `The backup's ${path} is of a newer release (schema ${version}, and this one knows up to ${schema}): restore it with that release`,
      );
    }
    if (version < 1) throw new BackupInvalidError(`The backup's ${path} is no database of omp`);
    if (version >= forget.from) database.exec(forget.sql);
  } finally {
    // With the last connection the write-ahead log goes too.
    database.close();
  }
}

/** SQLITE_CORRUPT and SQLITE_NOTADB, https://www.sqlite.org/rescode.html */
function isOfContent(error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode;
  return code !== undefined && [11, 26].includes(code & 0xff);
}
