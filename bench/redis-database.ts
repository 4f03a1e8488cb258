// Debian's redis-server under the broker, with an append-only file as redis.conf recommends it.

import { redisConfiguration } from "../test/support/redis.ts";
import { REDIS_HOST, RedisServer, redisMissing } from "../test/support/redis-server.ts";
import type { Cleanup } from "./cleanup.ts";
import type { Database } from "./database.ts";
import { runRawServer } from "./raw/raw-server.ts";
import type { ServerJob } from "./raw/server-jobs.ts";

const probe = new URL("redis-probe.ts", import.meta.url).href;

/** Each one on a free loopback port, with an empty directory below this one. */
export function redisDatabase(cleanup: Cleanup, data: string): Database {
  return {
    ...(redisMissing === undefined ? undefined : { missing: redisMissing }),
    async start() {
      const directory = cleanup.directory(data);
      const server = await RedisServer.start(cleanup, { directory, directives: { appendfsync: "everysec" } });
      const place = { host: REDIS_HOST, port: server.port };
      const run = (job: ServerJob) => runRawServer("redis-worker.ts", place, job);
      return {
        store: { configuration: redisConfiguration({ mode: "single", servers: [place], database: 0 }), probe },
        save: (work) => run({ kind: "save", ...work }),
        oneByOne: (work) => run({ kind: "oneByOne", ...work }),
        drain: (work) => run({ kind: "drain", ...work }),
        kill: () => server.kill(),
      };
    },
  };
}
