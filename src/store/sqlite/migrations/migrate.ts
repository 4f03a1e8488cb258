// Brings a database up to the newest schema, one numbered migration after the other. PRAGMA user_version counts them.

import type { DatabaseSync } from "node:sqlite";
import { ProblemError } from "../problem.ts";
import { FIRST_TABLES } from "./0001-first-tables.ts";

/** Migration n is at index n - 1. What has been released is never changed, only added to. */
const MIGRATIONS: readonly string[] = [FIRST_TABLES];

export const SCHEMA_VERSION = MIGRATIONS.length;

/**
 * Runs what is missing, in one transaction that also shows that the database can be written. Throws `ProblemError` for
 * a database of a newer release.
 */
export function migrate(connection: DatabaseSync, path: string): void {
  connection.exec("BEGIN IMMEDIATE");
  try {
    const row = connection.prepare("PRAGMA user_version").get() as { user_version: number };
    if (row.user_version > SCHEMA_VERSION) {
      throw new ProblemError({
        kind: "unavailable",
        message:
          `The database ${path} has schema version ${row.user_version}, this release knows up to ${SCHEMA_VERSION}: ` +
          "start the newer release again, or name another path.",
      });
    }
    for (const migration of MIGRATIONS.slice(row.user_version)) connection.exec(migration);
    connection.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    connection.exec("COMMIT");
  } catch (error) {
    if (connection.isTransaction) connection.exec("ROLLBACK");
    throw error;
  }
}
