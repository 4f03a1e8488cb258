// Redis stores for tests, stopped after the test.

import type { RedisStoreOptions } from "../../src/store/redis/options.ts";
import { RedisStore } from "../../src/store/redis/redis-store.ts";
import type { StoreHealth } from "../../src/store/store.ts";
import type { RedisPlace } from "../support/redis.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { silentLogger } from "./sample-messages.ts";

export interface StartedStore {
  readonly store: RedisStore;
  /** What `healthChanged` was called with. */
  readonly healths: StoreHealth[];
}

/** More than a busy machine needs for any call, in ms. */
const TIMEOUT = 10_000;

/** Makes a store whose messages never expire by age, unless the options say otherwise. */
export async function startStore(
  scope: Scope,
  place: RedisPlace,
  options: Partial<RedisStoreOptions> = {},
): Promise<StartedStore> {
  const defaults = { poolSize: 8, messageTtl: 0, timeout: TIMEOUT, logger: silentLogger };
  const store = new RedisStore({ ...defaults, ...place, ...options });
  const healths: StoreHealth[] = [];
  scope.after(() => store.stop());
  await store.start({ healthChanged: (health) => healths.push(health) });
  return { store, healths };
}
