// MySQL stores for tests, stopped after the test.

import { DEFAULT_TEMPLATES } from "../../src/store/mysql/default-templates.ts";
import { MySqlStore } from "../../src/store/mysql/mysql-store.ts";
import type { MySqlStoreOptions } from "../../src/store/mysql/options.ts";
import type { StoreHealth } from "../../src/store/store.ts";
import type { MariadbPlace } from "../support/mariadb.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { silentLogger } from "./sample-messages.ts";

export interface StartedStore {
  readonly store: MySqlStore;
  /** What `healthChanged` was called with. */
  readonly healths: StoreHealth[];
  /** What `causeFound` was called with. */
  readonly causes: Error[];
  /** How often `collided` was called. */
  collisions(): number;
}

/** More than a busy machine needs for any call, in ms. */
const TIMEOUT = 10_000;

/** Makes a store whose messages never expire by age, with EMQX's templates, unless the options say otherwise. */
export async function startStore(
  scope: Scope,
  place: MariadbPlace,
  options: Partial<MySqlStoreOptions> = {},
): Promise<StartedStore> {
  const store = new MySqlStore({
    poolSize: 8,
    templates: DEFAULT_TEMPLATES,
    initDefaultSchema: false,
    messageTtl: 0,
    maxBacklogPerTopic: 1_000,
    timeout: TIMEOUT,
    logger: silentLogger,
    ...place,
    ...options,
  });
  const healths: StoreHealth[] = [];
  const causes: Error[] = [];
  scope.after(() => store.stop());
  let collisions = 0;
  await store.start({
    healthChanged: (health) => healths.push(health),
    causeFound: (error) => causes.push(error),
    collided: () => {
      collisions++;
    },
  });
  return { store, healths, causes, collisions: () => collisions };
}
