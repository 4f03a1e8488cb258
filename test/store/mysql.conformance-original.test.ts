// The conformance suite, run against MariaDB on the tables of EMQX's plugin as they are, with no rights but on their rows.

import { after, before, describe } from "node:test";
import { type MariadbSetup, mariadbSkip, startPlain } from "../support/mariadb.ts";
import { inReverse } from "../support/temporary-directory.ts";
import { type StoreTraits, storeConformance } from "./conformance.ts";
import { startStore } from "./mysql-stores.ts";

/** The tables have no room for these. */
const TRAITS: StoreTraits = {
  keepsPacketIds: false,
  keepsSubscriptionOptions: false,
  keepsLastSeen: false,
  listsClients: true,
  lacks: { properties: true, milliseconds: true, likeSubscriptions: true, payloadsAbove: 65_535 },
};

describe("MySqlStore on EMQX's tables", { skip: mariadbSkip("plain") }, () => {
  const scope = inReverse({ after });
  let setup: MariadbSetup;
  before(async () => {
    setup = await startPlain(scope);
  });
  storeConformance("EMQX's tables", TRAITS, async (test, settings) => {
    await setup.flush();
    return (await startStore(test, setup.place, settings)).store;
  });
});
