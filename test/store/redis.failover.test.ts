// What callers see when another server takes over, by the sentinels' or the cluster's decision, and when a slot moves.

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { toB62 } from "../../src/mqtt/base62.ts";
import type { Message } from "../../src/mqtt/message.ts";
import type { Store } from "../../src/store/store.ts";
import {
  ADMINISTRATOR_PASSWORD,
  type ClusterSetup,
  type RedisSetup,
  redisSkip,
  startCluster,
  startSentinel,
} from "../support/redis.ts";
import type { RedisServer } from "../support/redis-server.ts";
import { assertTold, Publishing } from "./publishing.ts";
import { startStore } from "./redis-stores.ts";
import { readAll } from "./sample-messages.ts";

/** How long a call may take, in ms. */
const TIMEOUT = 800;
/** Longer than a cluster takes to replace a master, and a store to find that out, in ms. */
const LONG_TIMEOUT = 15_000;
/** In a cluster every master has some of them. */
const TOPICS = ["a", "b/c", "b/d", "e", "f"];

const skip = redisSkip("sentinel");

async function startPublishing(t: TestContext, setup: RedisSetup) {
  const started = await startStore(t, setup.place, { timeout: TIMEOUT });
  const publishing = new Publishing(t, started.store, TOPICS);
  await publishing.goesOn(20);
  return { ...started, publishing };
}

/** Waits until the replicas have all that the masters have; what is acknowledged from now on may be lost with a master. */
async function replicated({ masters }: RedisSetup, replicas: number): Promise<void> {
  for (const master of await masters()) {
    const reached = await master.with((client) => client.command("WAIT", replicas, 5_000));
    assert.ok(Number(reached) >= replicas, `${reached} replicas are in step`);
  }
}

/** Which of these are not among the stored messages of their topics; the stored ones come in order, each once. */
async function missing(store: Store, messages: readonly Message[]): Promise<Message[]> {
  const found = new Set<string>();
  for (const topic of TOPICS) {
    const stored = (await readAll(store, topic)).map(({ message }) => message.id);
    assert.deepEqual(stored, [...new Set(stored)].sort(), "in order, each once");
    for (const id of stored) found.add(id);
  }
  return messages.filter(({ id }) => !found.has(id));
}

/** The ids of all messages that the masters hold. */
async function idsInRedis({ masters }: RedisSetup): Promise<Set<string>> {
  const ids = new Set<string>();
  for (const master of await masters()) {
    await master.with(async (client) => {
      for (const topic of TOPICS) {
        const members = await client.text("ZRANGE", `mqtt:msg:${topic}`, 0, -1).catch(() => []);
        for (const id of members as string[]) ids.add(id);
      }
    });
  }
  return ids;
}

describe("sentinel", { skip }, () => {
  for (const [name, breaks, fail] of [
    // The master may be found, lost and found again while the sentinels do not agree yet.
    ["fails over on request", undefined, (setup) => setup.sentinels.failover()],
    [
      "replaces a master that was killed",
      1,
      async (setup) => {
        const [master] = (await setup.masters()) as [RedisServer];
        await master.kill();
        return setup.sentinels.replaced(master);
      },
    ],
    [
      "replaces a master that hangs, which wakes up as a replica",
      // Who was connected to it as it woke up is cut off when it becomes a replica.
      undefined,
      async (setup) => {
        const [master] = (await setup.masters()) as [RedisServer];
        master.pause();
        const next = await setup.sentinels.replaced(master);
        master.continue();
        // Until the sentinels have told it, it takes itself for the master: what it is asked and told then is lost.
        await master.untilInfo("replication", /role:slave\r\n[\s\S]*master_link_status:up/);
        return next;
      },
    ],
  ] satisfies [
    string,
    number | undefined,
    (setup: Awaited<ReturnType<typeof startSentinel>>) => Promise<RedisServer>,
  ][]) {
    test(name, async (t) => {
      const setup = await startSentinel(t);
      const { store, healths, publishing } = await startPublishing(t, setup);
      await replicated(setup, 2);
      const safe = [...publishing.acknowledged];
      const next = await fail(setup);
      await publishing.goesOn(20);
      await publishing.end();
      await next.untilInfo("replication", /role:master/);
      publishing.assertInTime(TIMEOUT);
      const lost = await missing(store, publishing.acknowledged);
      const kept = await idsInRedis(setup);
      t.diagnostic(
        `${publishing.acknowledged.length} acknowledged, ${publishing.refusals.length} refused, ` +
          `${lost.length} lost with the old master`,
      );
      assert.deepEqual(await missing(store, safe), [], "what the replicas had");
      assert.deepEqual(
        lost.filter(({ id }) => kept.has(toB62(id))),
        [],
        "what Redis has kept",
      );
      await assertTold(store, healths, breaks);
    });
  }

  test("one sentinel is enough to find the master", async (t) => {
    const setup = await startSentinel(t);
    const [first, second, third] = setup.sentinels.sentinels;
    await first?.kill();
    third?.pause();
    t.after(() => third?.continue());
    const { store } = await startStore(t, setup.place);
    const publishing = new Publishing(t, store, TOPICS);
    await publishing.goesOn(5);
    await publishing.end();
    assert.ok(second?.isRunning);
  });
});

describe("cluster", { skip }, () => {
  test("a master dies and a replica takes over", async (t) => {
    const setup = await startCluster(t);
    const { store, healths, publishing } = await startPublishing(t, setup);
    await replicated(setup, 1);
    const safe = [...publishing.acknowledged];
    await setup.cluster.killAndReplace(await setup.cluster.masterOf("mqtt:msg:a"));
    await publishing.goesOn(20);
    await publishing.end();
    publishing.assertInTime(TIMEOUT);
    const lost = await missing(store, publishing.acknowledged);
    t.diagnostic(
      `${publishing.acknowledged.length} acknowledged, ${publishing.refusals.length} refused, ` +
        `${lost.length} lost with the old master`,
    );
    assert.deepEqual(await missing(store, safe), [], "what the replica had");
    await assertTold(store, healths, 1);
  });

  test("a master hangs and a replica takes over: nothing waits for the end of the calls' time", async (t) => {
    const setup = await startCluster(t);
    const { store } = await startStore(t, setup.place, { timeout: LONG_TIMEOUT });
    const publishing = new Publishing(t, store, TOPICS);
    await publishing.goesOn(5);
    const master = await setup.cluster.masterOf("mqtt:msg:a");
    master.pause();
    t.after(() => master.continue());
    await publishing.goesOn(5, LONG_TIMEOUT);
    await publishing.end();
    assert.deepEqual(publishing.refusals, []);
  });

  test("a slot moves while messages are stored, read and removed", async (t) => {
    const setup: ClusterSetup = await startCluster(t);
    const { cluster } = setup;
    const { store, healths, publishing } = await startPublishing(t, setup);
    const key = "mqtt:msg:a";
    const slot = await cluster.slotOf(key);
    const from = await cluster.masterOf(key);
    const to = (await cluster.masters()).find((server) => server !== from) as RedisServer;
    await cluster.beginMove(slot, from, to);
    await publishing.goesOn(5);
    await cluster.moveKeys(slot, from, to, 1_000, ADMINISTRATOR_PASSWORD);
    await publishing.goesOn(5);
    assert.ok((await readAll(store, "a")).length > 20);
    await cluster.endMove(slot, to);
    await publishing.goesOn(20);
    await publishing.end();
    publishing.assertInTime(TIMEOUT);
    assert.deepEqual(await missing(store, publishing.acknowledged), []);
    t.diagnostic(`${publishing.acknowledged.length} acknowledged, ${publishing.refusals.length} refused`);
    await assertTold(store, healths, publishing.refusals.length === 0 ? undefined : 1);
  });

  test("nodes that are gone at the start are done without", async (t) => {
    const setup = await startCluster(t);
    const [first, ...rest] = setup.servers;
    await setup.cluster.killAndReplace(first as RedisServer);
    const { store } = await startStore(t, setup.place);
    const publishing = new Publishing(t, store, TOPICS);
    await publishing.goesOn(5);
    await publishing.end();
    assert.ok(rest.every((server) => server.isRunning));
  });
});
