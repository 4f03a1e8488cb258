// mysql-drain: drain with MariaDB in place of SQLite.

import type { Scenario } from "../scenario.ts";
import { drainFromDatabase } from "./drain-from-database.ts";

const NAME = "mysql-drain";

export const mysqlDrain: Scenario = { name: NAME, run: (bench) => drainFromDatabase(bench, NAME, bench.mariadb) };
