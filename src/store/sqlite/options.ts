// The options of the SQLite store and their defaults.

import type { Logger } from "../../mqtt/logger.ts";

export type OverflowPolicy = "reject" | "drop_oldest";

export interface SqliteStoreOptions {
  /** The database file. Its directory is made when it is missing. */
  readonly path: string;
  /** Messages older than this many seconds are removed; 0: never. Default 604,800 (7 days). */
  readonly messageTtl?: number;
  /** Limits on what is stored; 0 or absent: none. `maxBytes` counts payload bytes. */
  readonly maxMessages?: number;
  readonly maxBytes?: number;
  readonly maxMessagesPerTopic?: number;
  /** What happens at a limit: the new message is refused (default), or the oldest ones make room. */
  readonly overflow?: OverflowPolicy;
  /** At most this many writes share a transaction. Default 1,024. */
  readonly batchSize?: number;
  /** Every call settles within this time, in ms. Default 5,000. */
  readonly timeout?: number;
  /** Pages of 4,096 bytes that the database may take; 0 or absent: SQLite's own limit. */
  readonly maxPageCount?: number;
  readonly logger: Logger;
}

/** What the worker thread needs to know. Plain data, because it is cloned into the thread. */
export interface WorkerOptions {
  readonly path: string;
  readonly messageTtl: number;
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly maxMessagesPerTopic: number;
  readonly overflow: OverflowPolicy;
  readonly timeout: number;
  readonly maxPageCount: number;
}

const DEFAULT_MESSAGE_TTL = 7 * 24 * 60 * 60;
const DEFAULT_TIMEOUT = 5_000;
export const DEFAULT_BATCH_SIZE = 1_024;

export function workerOptions(options: SqliteStoreOptions): WorkerOptions {
  return {
    path: options.path,
    messageTtl: options.messageTtl ?? DEFAULT_MESSAGE_TTL,
    maxMessages: options.maxMessages ?? 0,
    maxBytes: options.maxBytes ?? 0,
    maxMessagesPerTopic: options.maxMessagesPerTopic ?? 0,
    overflow: options.overflow ?? "reject",
    timeout: options.timeout ?? DEFAULT_TIMEOUT,
    maxPageCount: options.maxPageCount ?? 0,
  };
}
