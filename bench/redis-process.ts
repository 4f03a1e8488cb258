// Debian's redis-server in a process of its own, with an append-only file as redis.conf recommends it.

import { RedisServer } from "../test/support/redis-server.ts";
import type { Cleanup } from "./cleanup.ts";

/** Starts it on a free loopback port with an empty directory, and waits until it is ready. */
export function startRedis(cleanup: Cleanup, directory: string): Promise<RedisServer> {
  return RedisServer.start(cleanup, { directory, directives: { appendfsync: "everysec" } });
}
