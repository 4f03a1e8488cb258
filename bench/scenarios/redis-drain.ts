// redis-drain: drain with Redis in place of SQLite.

import type { Scenario } from "../scenario.ts";
import { drainFromDatabase } from "./drain-from-database.ts";

const NAME = "redis-drain";

export const redisDrain: Scenario = { name: NAME, run: (bench) => drainFromDatabase(bench, NAME, bench.redis) };
