// Writes without changing anything, to learn whether the database takes writes.

import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { FullError, unavailable } from "../../../sqlite/problem.ts";
import type { Database } from "../database.ts";
import { MIGRATIONS } from "../migrations/migrations.ts";

/** What has to be free besides the room for the message that found none: pages in the database, bytes on the disk. */
const SPARE_PAGES = 16;
const SPARE_BYTES = 1024 * 1024;

/** Throws SQLite's errors. With `roomWanted` in bytes it throws `FullError` unless there is so much room. */
export function tryWrite(database: Database, roomWanted: number | undefined): void {
  database.begin();
  try {
    database.connection.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
    database.commit();
  } catch (error) {
    database.rollback();
    throw error;
  }
  if (roomWanted === undefined) return;
  const { path } = database.options;
  const growth = database.pragma("max_page_count") - database.pragma("page_count");
  const freeBytes = (growth + database.pragma("freelist_count") - SPARE_PAGES) * database.pragma("page_size");
  const disk = statfsSync(dirname(path));
  if (freeBytes < roomWanted || disk.bavail * disk.bsize - SPARE_BYTES < roomWanted) {
    throw new FullError(unavailable(`The disk or the database ${path} is full: make room.`));
  }
}
