// Brings a database up to the newest schema, one numbered migration after the other. PRAGMA user_version counts them.

import type { DatabaseSync } from "node:sqlite";
import { ProblemError } from "./problem.ts";

/**
 * Runs those of `migrations` that are missing (number n is at index n - 1), in one transaction that also shows that the
 * database can be written. Throws `ProblemError` for a database of a newer release, and SQLite's errors.
 */
export function migrate(connection: DatabaseSync, path: string, migrations: readonly string[]): void {
  connection.exec("BEGIN IMMEDIATE");
  try {
    const { user_version } = connection.prepare("PRAGMA user_version").get() as { user_version: number };
    if (user_version > migrations.length) {
      throw new ProblemError({
        kind: "unavailable",
        message:
          `The database ${path} has schema version ${user_version}, this release knows up to ${migrations.length}: ` +
          "start the newer release again, or name another path.",
      });
    }
    for (const migration of migrations.slice(user_version)) connection.exec(migration);
    connection.exec(`PRAGMA user_version = ${migrations.length}`);
    connection.exec("COMMIT");
  } catch (error) {
    if (connection.isTransaction) connection.exec("ROLLBACK");
    throw error;
  }
}
