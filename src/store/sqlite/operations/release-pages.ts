// Gives free pages back to the file system, a bounded number at a time.

import type { Database } from "../database.ts";

/** Pages given back in one step: 1 MiB. */
const PAGES_PER_STEP = 256;
/** A database keeps this many free pages, and this share of its size, for what will be stored next. */
const KEPT_PAGES = 256;
const KEPT_SHARE = 0.25;

export type ReleaseResult = "more" | "finished";

export function releasePages(database: Database): ReleaseResult {
  if (!hasSurplus(database)) return "finished";
  database.connection.exec(`PRAGMA incremental_vacuum(${PAGES_PER_STEP})`);
  if (hasSurplus(database)) return "more";
  // The file itself gets shorter once the write-ahead log is worked into it.
  database.connection.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  return "finished";
}

function hasSurplus(database: Database): boolean {
  return database.pragma("freelist_count") > Math.max(KEPT_PAGES, database.pragma("page_count") * KEPT_SHARE);
}
