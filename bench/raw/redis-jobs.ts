// What Redis can be asked to do without MQTT, by the library that the store uses.

import type { RawResult } from "./jobs.ts";

interface RawRedisBase {
  readonly port: number;
}

/** Saves messages for a time, and counts after the warm-up; both in ms. */
export interface RawRedisSave extends RawRedisBase {
  readonly kind: "save";
  readonly topics: readonly string[];
  readonly payloadBytes: number;
  /** Messages in one pipeline. */
  readonly batch: number;
  readonly warmUp: number;
  readonly duration: number;
}

/** The same with one command waiting for the reply to the one before, on each of so many connections. */
export interface RawRedisOneByOne extends Omit<RawRedisSave, "kind" | "batch"> {
  readonly kind: "oneByOne";
  readonly connections: number;
}

/** Reads the messages of a topic in pages, and removes each page in one pipeline. */
export interface RawRedisDrain extends RawRedisBase {
  readonly kind: "drain";
  readonly topic: string;
  readonly page: number;
}

export type RawRedisJob = RawRedisSave | RawRedisOneByOne | RawRedisDrain;
export type RawRedisResult = RawResult;
