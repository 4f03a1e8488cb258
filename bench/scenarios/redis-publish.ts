// redis-publish: store-publish with Redis in place of SQLite.

import type { Scenario } from "../scenario.ts";
import { publishToDatabase } from "./publish-to-database.ts";

const NAME = "redis-publish";

export const redisPublish: Scenario = {
  name: NAME,
  run: (bench) => publishToDatabase(bench, { scenario: NAME, database: bench.redis, aimOneByOne: 3 }),
};
