// What the client library would write to standard error goes to our log, once.

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Logger } from "../../src/mqtt/logger.ts";
import { type RedisPlace, redisSkip, startSentinel, startSingle } from "../support/redis.ts";
import { RedisCluster } from "../support/redis-cluster.ts";
import { MASTER_NAME } from "../support/redis-sentinel.ts";
import { REDIS_HOST, RedisServer } from "../support/redis-server.ts";
import { SilentServer } from "../support/silent-server.ts";
import { inReverse, temporaryDirectory } from "../support/temporary-directory.ts";
import { ToldSentinel } from "../support/told-sentinel.ts";
import { waitFor } from "../support/wait-for.ts";
import { startStore } from "./redis-stores.ts";
import { sampleMessage, silentLogger } from "./sample-messages.ts";

const skip = redisSkip("single");

/** What is written to standard error by way of the console, and the warnings in our log. */
function listen(t: TestContext) {
  const console_: string[] = [];
  for (const method of ["log", "warn", "error"] as const) {
    t.mock.method(console, method, (...args: unknown[]) => console_.push(args.join(" ")));
  }
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (_fields: unknown, text: string) => warnings.push(text) };
  return { console: console_, warnings, logger };
}

describe("a login that Redis does not ask for", { skip }, () => {
  test("works, and the log says it once, whatever breaks", async (t) => {
    const { place, servers } = await startSingle(t);
    const heard = listen(t);
    const { store } = await startStore(t, { ...place, password: "needless" }, { logger: heard.logger });
    await store.saveMessage(sampleMessage("t"));
    await (servers[0] as RedisServer).with((client) => client.command("CLIENT", "KILL", "TYPE", "normal"));
    await store.saveMessage(sampleMessage("t"));
    assert.deepEqual(heard.console, []);
    assert.equal(heard.warnings.filter((text) => /does not ask for/.test(text)).length, 1);
  });

  test("in a cluster too, at every node", async (t) => {
    const inner = inReverse(t);
    const cluster = await RedisCluster.start(inner, { directory: temporaryDirectory(inner) });
    const heard = listen(t);
    const servers = cluster.servers.map(({ port }) => ({ host: REDIS_HOST, port }));
    const place: RedisPlace = { mode: "cluster", servers, database: 0, password: "needless" };
    const { store } = await startStore(t, place, { logger: heard.logger });
    for (const topic of ["a", "b/c", "b/d", "e", "f"]) await store.saveMessage(sampleMessage(topic));
    assert.deepEqual(heard.console, []);
    assert.equal(heard.warnings.filter((text) => /does not ask for/.test(text)).length, 1);
  });

  test("a user name that an old Redis does not know", async (t) => {
    const old = await SilentServer.start(t, { words: ["-ERR wrong number of arguments for 'auth' command\r\n"] });
    const heard = listen(t);
    const servers = [{ host: REDIS_HOST, port: old.port }];
    const place: RedisPlace = { mode: "single", servers, database: 0, username: "omp", password: "secret" };
    await startStore(t, place, { logger: heard.logger, timeout: 500 });
    await waitFor(() => old.stays.length > 2, { what: "some connections" });
    assert.deepEqual(heard.console, []);
    assert.equal(heard.warnings.filter((text) => /knows none/.test(text)).length, 1);
  });
});

test("a sentinel that ends and comes back: the log says it once each time", { skip }, async (t) => {
  const server = await RedisServer.start(t, { directory: temporaryDirectory(t) });
  const sentinels = [
    await ToldSentinel.start(t, { port: server.port, epoch: 1 }),
    await ToldSentinel.start(t, { port: server.port, epoch: 1 }),
  ];
  const [, second] = sentinels as [ToldSentinel, ToldSentinel];
  const heard = listen(t);
  const servers = sentinels.map(({ port }) => ({ host: REDIS_HOST, port }));
  const place: RedisPlace = { mode: "sentinel", servers, sentinel: MASTER_NAME, database: 0 };
  const { store, healths } = await startStore(t, place, { logger: heard.logger });
  for (const times of [1, 2]) {
    await waitFor(() => second.subscribers === 1, { what: "the store listens" });
    await store.saveMessage(sampleMessage("t"));
    const denied = second.denied;
    second.deny();
    await waitFor(() => second.denied >= denied + 3, { what: "some attempts to connect again" });
    second.allow();
    assert.equal(heard.warnings.filter((text) => text.includes("cannot be listened to")).length, times);
  }
  assert.deepEqual(healths, []);
  assert.deepEqual(heard.console, []);
});

test("a sentinel that is killed leaves nothing on standard error", { skip }, async (t) => {
  const { place, sentinels } = await startSentinel(t);
  const heard = listen(t);
  await startStore(t, place, { logger: heard.logger });
  for (const sentinel of sentinels.sentinels) {
    await sentinel.kill();
    await waitFor(() => heard.warnings.some((text) => text.includes(`:${sentinel.port} cannot be listened to`)), {
      what: `a warning about port ${sentinel.port}`,
    });
  }
  assert.deepEqual(heard.console, []);
});
