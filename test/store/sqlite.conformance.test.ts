// The conformance suite, run against SQLite.

import { startStore } from "./sqlite-stores.ts";
import { storeConformance } from "./conformance.ts";

storeConformance("SqliteStore", async (scope, settings) => (await startStore(scope, settings)).store);
