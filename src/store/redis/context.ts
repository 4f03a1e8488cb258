// What the operations need: a way to send commands, the keys, and the options that they depend on.

import type { Send } from "./command.ts";
import type { RedisKeys } from "./keys.ts";

export interface RedisContext {
  readonly keys: RedisKeys;
  readonly send: Send;
  /** In seconds; 0: messages do not expire by age. */
  readonly messageTtl: number;
  /** In ms: an entry without its hash that is older was not just being written. */
  readonly orphanAge: number;
  /** Whether keys of one command may lie on different nodes, which Redis refuses. */
  readonly isCluster: boolean;
}

/** An entry of the sorted set of a topic. */
export interface IndexEntry {
  readonly id62: string;
  readonly topic: string;
}
