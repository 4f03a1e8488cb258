// A database server under the broker, and what it can do alone: the same for Redis and MariaDB.

import type { RawResult } from "./raw/jobs.ts";

/** How the broker is told to store there. */
export interface BrokerStore {
  /** The plugin's configuration in HOCON. */
  readonly configuration: string;
  /** URL of a module, loaded into the broker, that counts what the store sends. */
  readonly probe: string;
}

export interface SaveWork {
  readonly topics: readonly string[];
  readonly payloadBytes: number;
  /** Both in ms; what comes before the end of the warm-up does not count. */
  readonly warmUp: number;
  readonly duration: number;
}

/** A running one, empty at first. */
export interface DatabaseServer {
  readonly store: BrokerStore;
  /** Saves messages in groups of `batch`, by the library and with the statements that the store uses. */
  save(work: SaveWork & { readonly batch: number }): Promise<RawResult>;
  /** Saves messages one by one, as EMQX's plugin does, on so many connections. */
  oneByOne(work: SaveWork & { readonly connections: number }): Promise<RawResult>;
  /** Reads the messages of a topic in pages, and removes each page at once. */
  drain(work: { readonly topic: string; readonly page: number }): Promise<RawResult>;
  kill(): Promise<void>;
}

export interface Database {
  /** Why there is none; absent: there is one. */
  readonly missing?: string;
  start(): Promise<DatabaseServer>;
}
