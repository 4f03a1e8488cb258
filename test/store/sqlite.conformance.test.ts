// The conformance suite, run against SQLite.

import { storeConformance } from "./conformance.ts";
import { startStore } from "./sqlite-stores.ts";

storeConformance(
  "SqliteStore",
  { keepsPacketIds: true, keepsSubscriptionOptions: true, keepsLastSeen: true, listsClients: true },
  async (scope, settings) => (await startStore(scope, settings)).store,
);
