// mysql-publish: store-publish with MariaDB in place of SQLite.

import type { Scenario } from "../scenario.ts";
import { publishToDatabase } from "./publish-to-database.ts";

const NAME = "mysql-publish";

export const mysqlPublish: Scenario = {
  name: NAME,
  run: (bench) => publishToDatabase(bench, { scenario: NAME, database: bench.mariadb, aimOneByOne: 8 }),
};
