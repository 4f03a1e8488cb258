// SQLite stores for tests: in a directory of their own, stopped after the test.

import { join } from "node:path";
import type { SqliteStoreOptions } from "../../src/store/sqlite/options.ts";
import { SqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import type { StoreEvents, StoreHealth } from "../../src/store/store.ts";
import { type Scope, temporaryDirectory } from "../support/temporary-directory.ts";
import { silentLogger } from "./sample-messages.ts";

export interface StartedStore {
  readonly store: SqliteStore;
  readonly path: string;
  /** What `healthChanged` was called with. */
  readonly healths: StoreHealth[];
  /** The sum of what `dropped` was called with. */
  dropped: number;
}

/** Makes a store whose messages never expire by age, unless the options say otherwise. */
export async function startStore(scope: Scope, options: Partial<SqliteStoreOptions> = {}): Promise<StartedStore> {
  const path = options.path ?? join(temporaryDirectory(scope), "data", "offline.db");
  const store = new SqliteStore({ messageTtl: 0, logger: silentLogger, ...options, path });
  const started: StartedStore = { store, path, healths: [], dropped: 0 };
  const events: StoreEvents = {
    healthChanged: (health) => started.healths.push(health),
    dropped: (messages) => {
      started.dropped += messages;
    },
  };
  scope.after(() => store.stop());
  await store.start(events);
  return started;
}
