// Writes without changing anything, to learn whether the database takes writes.

import type { Database } from "../database.ts";
import { SCHEMA_VERSION } from "../migrations/migrate.ts";
import { FullError, unavailable } from "../problem.ts";

/** Pages that have to be free besides those for the message that found no room. */
const SPARE_PAGES = 16;

/** Throws SQLite's errors, and `FullError` when there is no room for a message of `roomWanted` bytes. */
export function tryWrite(database: Database, roomWanted: number): void {
  database.begin();
  try {
    database.connection.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    database.commit();
  } catch (error) {
    database.rollback();
    throw error;
  }
  const growth = database.pragma("max_page_count") - database.pragma("page_count");
  const freePages = growth + database.pragma("freelist_count");
  if (freePages < SPARE_PAGES + Math.ceil(roomWanted / database.pragma("page_size"))) {
    throw new FullError(
      unavailable(
        `The database ${database.options.path} is full: let subscribers take messages, or raise max_page_count.`,
      ),
    );
  }
}
