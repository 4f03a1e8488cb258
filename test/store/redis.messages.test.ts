// Whom the store names when Redis cannot be reached or is not what the configuration says, and what it advises.

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Logger } from "../../src/mqtt/logger.ts";
import type { RedisStore } from "../../src/store/redis/redis-store.ts";
import { type RedisPlace, redisSetups, redisSkip, startCluster, startSentinel, startSingle } from "../support/redis.ts";
import type { RedisServer } from "../support/redis-server.ts";
import { SilentServer } from "../support/silent-server.ts";
import { waitFor } from "../support/wait-for.ts";
import { startStore } from "./redis-stores.ts";
import { sampleMessage, silentLogger } from "./sample-messages.ts";

/** How long a call may take, in ms. */
const TIMEOUT = 500;

const skip = redisSkip("single");

async function start(t: TestContext, place: RedisPlace) {
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (_fields: unknown, text: string) => warnings.push(text) };
  const { store, healths } = await startStore(t, place, { timeout: TIMEOUT, logger });
  return { store, healths, warnings };
}

/** Waits until the health tells this. */
async function tells(store: RedisStore, pattern: RegExp): Promise<void> {
  let message = "";
  const isTold = async () => {
    message = (await store.checkHealth()).error?.message ?? "ok";
    return pattern.test(message);
  };
  await waitFor(isTold, { what: String(pattern) }).catch(() => assert.match(message, pattern));
}

describe("sentinels", { skip }, () => {
  test("the master is gone: it is named, and not the sentinels", async (t) => {
    const { place, servers } = await startSentinel(t);
    const { store, healths } = await start(t, place);
    for (const server of servers) await server.kill();
    await assert.rejects(
      store.saveMessage(sampleMessage("t")),
      /^\S*Error: The master "mymaster" at 127\.0\.0\.1:\d+ /,
    );
    await tells(
      store,
      new RegExp(
        `^The master "mymaster" at 127\\.0\\.0\\.1:(${servers.map(({ port }) => port).join("|")}) cannot be reached \\(connect ECONNREFUSED .*\\): start it, or see why the sentinels do not replace it\\.$`,
      ),
    );
    for (const { error } of healths) assert.match(error?.message ?? "", /^The master "mymaster" at /);
  });

  test("the master hangs", async (t) => {
    const { place, servers } = await startSentinel(t);
    const { store } = await start(t, place);
    for (const server of servers) {
      server.pause();
      t.after(() => server.continue());
    }
    await assert.rejects(store.saveMessage(sampleMessage("t")), /The master "mymaster" did not answer within/);
  });

  test("a name that they do not know is all that is told", async (t) => {
    const { place } = await startSentinel(t);
    const { store, warnings } = await start(t, { ...place, sentinel: "nobody" });
    await tells(store, /^The sentinels know no master "nobody": correct redis\.sentinel\.$/);
    assert.deepEqual(warnings, []);
  });

  test("one is down: nothing is refused, and it is named; all are down: they are named", async (t) => {
    const { place, sentinels } = await startSentinel(t);
    const [first, ...others] = sentinels.sentinels as [RedisServer, ...RedisServer[]];
    await first.kill();
    const { store, warnings } = await start(t, place);
    await store.saveMessage(sampleMessage("t"));
    assert.ok(
      warnings.some((text) => text.startsWith(`the sentinel at 127.0.0.1:${first.port} cannot be listened to`)),
    );
    for (const sentinel of others) await sentinel.kill();
    const { store: late } = await start(t, place);
    await tells(
      late,
      /^No sentinel at 127\.0\.0\.1:\d+, \S+, \S+ can be reached \(connect ECONNREFUSED [^;]*\): start one/,
    );
  });

  test("all hang: the master is not known yet", async (t) => {
    const silent = await SilentServer.start(t);
    const servers = [{ host: "127.0.0.1", port: silent.port }];
    const { store } = await startStore(
      t,
      { mode: "sentinel", servers, sentinel: "m", database: 0 },
      { timeout: 5_000 },
    );
    await tells(
      store,
      new RegExp(
        `^(No sentinel at 127\\.0\\.0\\.1:${silent.port} can be reached|The master "m" cannot be reached \\(the sentinels at 127\\.0\\.0\\.1:${silent.port} have not named it yet)`,
      ),
    );
  });
});

describe("a cluster", { skip }, () => {
  test("a node is gone: it is named, and not the seeds", async (t) => {
    const { place, servers, cluster } = await startCluster(t);
    const { store } = await start(t, place);
    await store.saveMessage(sampleMessage("t"));
    const master = await cluster.masterOf("mqtt:msg:t");
    const replica = servers[servers.indexOf(master) + 3] as RedisServer;
    await Promise.all([master.kill(), replica.kill()]);
    await assert.rejects(
      store.saveMessage(sampleMessage("t")),
      new RegExp(
        `The cluster node at 127\\.0\\.0\\.1:${master.port} cannot be reached \\(.*\\): start it, or let a replica take over`,
      ),
    );
  });

  test("all nodes are gone: why is told", async (t) => {
    const { place, servers } = await startCluster(t);
    for (const server of servers) await server.kill();
    const { store } = await start(t, place);
    await tells(store, /^Redis at \S+, \S+, \S+, \S+ cannot be reached \(connect ECONNREFUSED [^;]*\)/);
  });
});

describe("Redis of another kind than redis_type says", { skip }, () => {
  for (const [name, mode, message] of [
    [
      "no sentinel",
      "sentinel",
      /^Redis at 127\.0\.0\.1:\d+ is no sentinel: correct redis\.servers or redis\.redis_type\.$/,
    ],
    ["no cluster", "cluster", /^Redis is no cluster: correct redis\.redis_type/],
  ] as const) {
    test(name, async (t) => {
      const { place } = await startSingle(t);
      const { store } = await start(t, { ...place, mode, sentinel: "mymaster" });
      await tells(store, message);
    });
  }

  test("a node of a cluster", async (t) => {
    const { place } = await startCluster(t);
    const { store } = await start(t, { ...place, mode: "single" });
    await Promise.allSettled(["a", "b/c", "b/d", "e", "f"].map((topic) => store.saveMessage(sampleMessage(topic))));
    assert.match(store.health().error?.message ?? "", /is a node of a cluster: set redis\.redis_type = cluster/);
  });
});

describe("TLS on one side only", { skip: redisSkip("TLS") }, () => {
  for (const mode of ["single", "sentinel", "cluster"] as const) {
    test(`${mode}: Redis expects it`, async (t) => {
      const { place } = await redisSetups.TLS(t);
      const { tls: _, ...plain } = place;
      const { store } = await start(t, { ...plain, mode, sentinel: "mymaster" });
      await tells(store, /can(not)? be reached \(.*; it may expect TLS: redis\.ssl\.enable\)/);
    });

    test(`${mode}: Redis does not speak it`, async (t) => {
      const { place } = await startSingle(t);
      const { store } = await start(t, { ...place, mode, sentinel: "mymaster", tls: { verify: "verify_none" } });
      await tells(store, /can(not)? be reached \(.*; it may not speak TLS, or ask for a client certificate\)/);
    });
  }

  test("what has worked before is not about TLS", async (t) => {
    const { place, servers } = await redisSetups.TLS(t);
    const { store, healths } = await start(t, place);
    await store.saveMessage(sampleMessage("t"));
    await (servers[0] as RedisServer).kill();
    await tells(store, /cannot be reached \([^;]*\): start it/);
    for (const { error } of healths) assert.doesNotMatch(error?.message ?? "", /TLS/);
  });
});
