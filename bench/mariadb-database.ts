// Debian's mariadbd under the broker, durable as it is out of the box (innodb_flush_log_at_trx_commit=1), with the tables that the
// store makes.

import { messageTable, subscriptionTable } from "../src/store/mysql/operations/create-tables.ts";
import { createDatabase, mysqlConfiguration } from "../test/support/mariadb.ts";
import { MariadbServer, mariadbMissing } from "../test/support/mariadb-server.ts";
import type { Cleanup } from "./cleanup.ts";
import type { Database } from "./database.ts";
import { runRawServer } from "./raw/raw-server.ts";
import type { ServerJob } from "./raw/server-jobs.ts";

const probe = new URL("mysql-probe.ts", import.meta.url).href;
const COLLATION = "utf8mb4_nopad_bin";

/** MariaDB's own defaults, where tests take less. */
const DIRECTIVES = { innodb_buffer_pool_size: "128M", innodb_log_file_size: "96M" };

/** Each one on a free loopback port, with data of its own. */
export function mariadbDatabase(cleanup: Cleanup): Database {
  return {
    ...(mariadbMissing === undefined ? undefined : { missing: mariadbMissing }),
    async start() {
      const server = await MariadbServer.start(cleanup, { directives: DIRECTIVES });
      const schema = `${messageTable(COLLATION)};\n${subscriptionTable(COLLATION)};`;
      const { place } = await createDatabase(server, { schema });
      const run = (job: ServerJob) => runRawServer("mysql-worker.ts", place, job);
      return {
        store: { configuration: mysqlConfiguration(place), probe },
        save: (work) => run({ kind: "save", ...work }),
        oneByOne: (work) => run({ kind: "oneByOne", ...work }),
        drain: (work) => run({ kind: "drain", ...work }),
        kill: () => server.kill(),
      };
    },
  };
}
