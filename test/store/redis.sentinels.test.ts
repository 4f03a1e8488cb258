// Which master the store believes in when sentinels hang, do not agree, or tell of a failover late.

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Store } from "../../src/store/store.ts";
import { redisSkip, startSentinel } from "../support/redis.ts";
import { MASTER_NAME } from "../support/redis-sentinel.ts";
import { REDIS_HOST, RedisServer } from "../support/redis-server.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { type Told, ToldSentinel } from "../support/told-sentinel.ts";
import { waitFor } from "../support/wait-for.ts";
import { Publishing } from "./publishing.ts";
import { startStore } from "./redis-stores.ts";
import { sampleMessage } from "./sample-messages.ts";

/** How long a call may take, in ms: longer than the store may take to find the new master. */
const TIMEOUT = 8_000;
const FOUND_WITHIN = 2_000;

/** Two servers that both take writes. */
async function startTwo(t: TestContext): Promise<[RedisServer, RedisServer]> {
  const [old, next] = await Promise.all([1, 2].map(() => RedisServer.start(t, { directory: temporaryDirectory(t) })));
  return [old as RedisServer, next as RedisServer];
}

async function startBehind(t: TestContext, sentinels: readonly ToldSentinel[]) {
  const servers = sentinels.map(({ port }) => ({ host: REDIS_HOST, port }));
  const started = await startStore(t, { mode: "sentinel", servers, sentinel: MASTER_NAME, database: 0 });
  await waitFor(() => sentinels.every(({ subscribers }) => subscribers === 1), { what: "the store listens" });
  return started;
}

async function holds(server: RedisServer): Promise<boolean> {
  return (await server.with((client) => client.keys("mqtt:msg:t"))).length > 0;
}

/** Waits until messages are stored there. */
async function savedAt(store: Store, server: RedisServer): Promise<void> {
  const isThere = async () => {
    await store.saveMessage(sampleMessage("t"));
    return holds(server);
  };
  await waitFor(isThere, { what: `messages at port ${server.port}` });
}

/** The ids of the connections that others than the test have. */
async function connectionsTo(server: RedisServer): Promise<string[]> {
  const list = String(await server.with((client) => client.text("CLIENT", "LIST")));
  return [...list.matchAll(/^id=(\d+) .* cmd=(?!client)/gm)].map(([, id]) => id as string);
}

describe("the store believes", { skip: redisSkip("sentinel") }, () => {
  const told = ({ port }: RedisServer, epoch: number): Told => ({ port, epoch });

  test("the latest decision, however many sentinels have not heard of it", async (t) => {
    const [old, next] = await startTwo(t);
    const sentinels = [
      await ToldSentinel.start(t, told(old, 1)),
      await ToldSentinel.start(t, told(old, 1)),
      await ToldSentinel.start(t, told(next, 2)),
    ];
    const { store } = await startBehind(t, sentinels);
    await store.saveMessage(sampleMessage("t"));
    assert.deepEqual([await holds(old), await holds(next)], [false, true]);
  });

  test("a sentinel that answers late, if it knows of a later decision", async (t) => {
    const [old, next] = await startTwo(t);
    const prompt = await ToldSentinel.start(t, told(old, 1));
    const late = await ToldSentinel.start(t, told(next, 2));
    late.hold();
    const servers = [prompt, late].map(({ port }) => ({ host: REDIS_HOST, port }));
    const { store } = await startStore(t, { mode: "sentinel", servers, sentinel: MASTER_NAME, database: 0 });
    await store.saveMessage(sampleMessage("t"));
    assert.deepEqual([await holds(old), await holds(next)], [true, false]);
    late.release();
    await savedAt(store, next);
  });

  test("any sentinel that tells of a failover, and no old news", async (t) => {
    const [old, next] = await startTwo(t);
    const sentinels = [await ToldSentinel.start(t, told(old, 1)), await ToldSentinel.start(t, told(old, 1))];
    const [first, second] = sentinels as [ToldSentinel, ToldSentinel];
    const { store } = await startBehind(t, sentinels);
    await store.saveMessage(sampleMessage("t"));
    assert.equal(await holds(next), false);
    second.told = told(next, 2);
    second.publish(MASTER_NAME, old.port, next.port);
    await savedAt(store, next);
    await waitFor(async () => (await connectionsTo(next)).length === 2, { what: "both connections" });
    const before = await connectionsTo(next);
    first.told = told(next, 2);
    first.publish(MASTER_NAME, old.port, next.port);
    second.publish("another-master", next.port, old.port);
    for (let round = 0; round < 20; round++) await store.saveMessage(sampleMessage("t"));
    assert.deepEqual(await connectionsTo(next), before, "no further break");
  });

  test("those that answer, when the master and a sentinel hang with it", async (t) => {
    const setup = await startSentinel(t);
    const { store } = await startStore(t, setup.place, { timeout: TIMEOUT });
    const publishing = new Publishing(t, store, ["t"]);
    await publishing.goesOn(5);
    const [master] = (await setup.masters()) as [RedisServer];
    const [hanging, ...others] = setup.sentinels.sentinels as [RedisServer, ...RedisServer[]];
    for (const server of [master, hanging]) {
      server.pause();
      t.after(() => server.continue());
    }
    await setup.sentinels.replaced(master, others);
    await publishing.goesOn(5, FOUND_WITHIN);
    assert.deepEqual(publishing.refusals, []);
    master.continue();
    hanging.continue();
    await publishing.goesOn(5, FOUND_WITHIN);
    await publishing.end();
  });
});
