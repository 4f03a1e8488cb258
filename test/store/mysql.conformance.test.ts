// The conformance suite, run against MariaDB on the tables that the store makes itself, plain and with TLS.

import { after, before, describe } from "node:test";
import { type MariadbSetup, mariadbSetups, mariadbSkip } from "../support/mariadb.ts";
import { inReverse } from "../support/temporary-directory.ts";
import { type StoreTraits, storeConformance } from "./conformance.ts";
import { startStore } from "./mysql-stores.ts";

/** The tables of EMQX's plugin have no room for these. */
const TRAITS: StoreTraits = {
  keepsPacketIds: false,
  keepsSubscriptionOptions: false,
  keepsLastSeen: false,
  listsClients: true,
};

for (const [name, start] of Object.entries(mariadbSetups)) {
  describe(`MySqlStore, ${name}`, { skip: mariadbSkip(name as keyof typeof mariadbSetups) }, () => {
    const scope = inReverse({ after });
    let setup: MariadbSetup;
    before(async () => {
      setup = await start(scope, { schema: "", databaseRights: "CREATE, SELECT, INSERT, UPDATE, DELETE" });
    });
    storeConformance(name, TRAITS, async (test, settings) => {
      await setup.flush();
      return (await startStore(test, setup.place, { initDefaultSchema: true, ...settings })).store;
    });
  });
}
