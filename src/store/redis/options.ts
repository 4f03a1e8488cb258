// The options of the Redis store and their defaults.

import type { Logger } from "../../mqtt/logger.ts";
import type { StoreTlsOptions } from "../tls.ts";

export type RedisMode = "single" | "sentinel" | "cluster";

export interface RedisServer {
  readonly host: string;
  readonly port: number;
}

export interface RedisStoreOptions {
  readonly mode: RedisMode;
  /** The server; in mode sentinel the sentinels, in mode cluster some of its nodes. */
  readonly servers: readonly RedisServer[];
  /** The name of the master, in mode sentinel. */
  readonly sentinel?: string;
  /** Of the sentinels, which may ask for others than the master does; absent or empty: none. */
  readonly sentinelUsername?: string;
  readonly sentinelPassword?: string;
  readonly username?: string;
  readonly password?: string;
  /** Always 0 in a cluster. */
  readonly database: number;
  /** Connections at most, in a cluster to each node. Two are used: one for writes, one for reads. */
  readonly poolSize: number;
  /** To every server, sentinels included. */
  readonly tls?: StoreTlsOptions;
  /** Messages older than this many seconds are removed; 0: never. */
  readonly messageTtl: number;
  /** At most this many writes share a round trip. Default 1,024. */
  readonly batchSize?: number;
  /** What the keys begin with. Defaults `mqtt:msg` and `mqtt:sub`. */
  readonly messageKeyPrefix?: string;
  readonly subscriptionKeyPrefix?: string;
  /** Every call settles within this time, in ms. */
  readonly timeout: number;
  readonly logger: Logger;
}

export const DEFAULT_BATCH_SIZE = 1_024;
export const DEFAULT_MESSAGE_KEY_PREFIX = "mqtt:msg";
export const DEFAULT_SUBSCRIPTION_KEY_PREFIX = "mqtt:sub";
