// The main job on MariaDB: on tables of our own, plain and with TLS and client certificates, and on those of EMQX's plugin.

import { after, before, describe } from "node:test";
import {
  type MariadbSetup,
  mariadbSkip,
  mysqlConfiguration,
  type SetupOptions,
  STORE_RIGHTS,
  startPlain,
  startTls,
} from "../support/mariadb.ts";
import { type RunningBroker, startBrokerWith } from "../support/omp.ts";
import { inReverse, type Scope } from "../support/temporary-directory.ts";
import { firstLight } from "./first-light.ts";

/** The user may create the tables, and has the rights to them that the store needs. */
const EMPTY: SetupOptions = { schema: "", tableRights: "", databaseRights: `CREATE, ${STORE_RIGHTS}` };
const OWN_TABLES = "init_default_schema = true";

const setups: readonly {
  readonly name: string;
  readonly start: (scope: Scope) => Promise<MariadbSetup>;
  readonly skip: string | false;
  readonly rest?: string;
}[] = [
  { name: "plain", start: (scope) => startPlain(scope, EMPTY), skip: mariadbSkip("plain"), rest: OWN_TABLES },
  { name: "TLS", start: (scope) => startTls(scope, EMPTY), skip: mariadbSkip("TLS"), rest: OWN_TABLES },
  { name: "the tables of EMQX's plugin", start: startPlain, skip: mariadbSkip("plain") },
];

for (const { name, start, skip, rest } of setups) {
  describe(`MariaDB, ${name}`, { skip }, () => {
    const scope = inReverse({ after });
    let broker: RunningBroker;
    before(async () => {
      const { place } = await start(scope);
      broker = await startBrokerWith(scope, mysqlConfiguration(place, rest));
    });
    firstLight(name, { broker: async () => broker, isShared: true });
  });
}
