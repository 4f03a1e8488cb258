// Gives free pages back to the file system, a bounded number at a time.

import type { DatabaseSync } from "node:sqlite";

/** Pages given back in one step: 1 MiB. */
const PAGES_PER_STEP = 256;
/** A database keeps this many free pages, and this share of its size, for what will be stored next. */
const KEPT_PAGES = 256;
const KEPT_SHARE = 0.25;

export type ReleaseResult = "more" | "finished";

/** One step. Throws SQLite's errors. */
export function releasePages(connection: DatabaseSync): ReleaseResult {
  if (!hasSurplus(connection)) return "finished";
  connection.exec(`PRAGMA incremental_vacuum(${PAGES_PER_STEP})`);
  if (hasSurplus(connection)) return "more";
  // The file itself gets shorter once the write-ahead log is worked into it.
  connection.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  return "finished";
}

function hasSurplus(connection: DatabaseSync): boolean {
  const pragma = (name: string): number => Number(connection.prepare(`PRAGMA ${name}`).get()?.[name]);
  return pragma("freelist_count") > Math.max(KEPT_PAGES, pragma("page_count") * KEPT_SHARE);
}
