// What the Redis store keeps in memory, and reads at once, is bounded.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { toB62 } from "../../src/mqtt/base62.ts";
import { lowestIdAt, MessageIdGenerator } from "../../src/mqtt/message-id.ts";
import { StoreUnavailableError } from "../../src/store/errors.ts";
import type { RedisCommand, Send } from "../../src/store/redis/command.ts";
import { EarlyDeaths } from "../../src/store/redis/early-deaths.ts";
import { RedisKeys } from "../../src/store/redis/keys.ts";
import { PayloadSizes } from "../../src/store/redis/operations/read-messages.ts";
import { walkTopics } from "../../src/store/redis/operations/walk-topics.ts";
import type { RedisStoreOptions } from "../../src/store/redis/options.ts";
import { ScoreClock } from "../../src/store/redis/score-clock.ts";
import { RemoteHealth } from "../../src/store/remote-health.ts";
import { SavedIds } from "../../src/store/saved-ids.ts";
import { redisSkip, startSingle } from "../support/redis.ts";
import type { RedisServer } from "../support/redis-server.ts";
import { waitFor } from "../support/wait-for.ts";
import { startStore } from "./redis-stores.ts";
import { payloads, readAll, sampleMessage, sampleMessages, saveAll, topics } from "./sample-messages.ts";

test("ids that cannot be stored yet are those of now that were not saved, however many were", () => {
  const ids = new MessageIdGenerator();
  const saved = new SavedIds();
  assert.ok(saved.mayBeStored(lowestIdAt(Date.now() - 60_000)), "from before");
  const all = Array.from({ length: 50_000 }, () => ids.next());
  for (const id of all) {
    assert.equal(saved.mayBeStored(id), false);
    saved.add(id);
  }
  assert.deepEqual(
    all.filter((id) => !saved.mayBeStored(id)),
    [],
  );
  assert.equal(saved.mayBeStored(ids.next()), false);
});

test("early deaths come in order, and beyond their number are left to readers", () => {
  const deaths = new EarlyDeaths();
  const count = 60_000;
  for (let at = 0; at < count; at++) deaths.add({ at: (at * 7_919) % count, id62: String(at), topic: "t" });
  assert.deepEqual(deaths.take(-1, 10), []);
  const taken = deaths.take(count, count);
  assert.equal(taken.length, 50_000);
  for (const [index, { at }] of taken.entries()) assert.ok(index === 0 || at >= (taken[index - 1]?.at ?? 0));
  assert.deepEqual(deaths.take(count, 1), []);
});

test("large payloads make the next reads smaller, small ones larger again", () => {
  const sizes = new PayloadSizes();
  const room = 64 * 1024 * 1024;
  for (let round = 0; round < 20; round++) sizes.read(100);
  assert.equal(sizes.hashesFor(room), 1_024);
  sizes.written(1024 * 1024);
  assert.equal(sizes.hashesFor(room), 16);
  sizes.read(1024 * 1024);
  assert.equal(sizes.hashesFor(room), 16);
  for (let round = 0; round < 20; round++) sizes.read(100);
  assert.equal(sizes.hashesFor(room), 1_024);
  assert.equal(sizes.hashesFor(1), 16, "a small page too is read in few round trips");
});

test("scores rise though the clock stands still", () => {
  const clock = new ScoreClock();
  const scores = Array.from({ length: 10_000 }, () => clock.next());
  for (const [at, score] of scores.entries()) assert.ok(at === 0 || score > (scores[at - 1] ?? 0));
});

test("a probe that began before an error was noted does not say that the server works again", async (t) => {
  const probes: PromiseWithResolvers<undefined>[] = [];
  const told: string[] = [];
  const watch = new RemoteHealth({
    probe: () => {
      const next = Promise.withResolvers<undefined>();
      probes.push(next);
      return next.promise;
    },
    changed: ({ status }) => told.push(status),
    causeFound() {},
    works: () => told.push("works"),
  });
  t.after(() => watch.stop());
  const early = watch.probe();
  watch.note(new StoreUnavailableError("broken"));
  probes[0]?.resolve(undefined);
  await early;
  assert.deepEqual(told, ["error"]);
  const late = watch.probe();
  probes[1]?.resolve(undefined);
  await late;
  assert.deepEqual(told, ["error", "ok", "works"]);
});

test("nothing is asked of the server once the watch is stopped, since asking opens connections", async () => {
  let asked = 0;
  const probe = async () => {
    asked++;
    return undefined;
  };
  const watch = new RemoteHealth({ probe, changed() {}, causeFound() {}, works() {} });
  await watch.probe();
  watch.stop();
  await watch.probe();
  assert.equal(asked, 1);
});

describe("with Redis", { skip: redisSkip("single") }, () => {
  test("more topics than one step, many stored at the same time, are all found", async (t) => {
    const { place, servers } = await startSingle(t);
    const { store } = await startStore(t, place);
    const count = 3_500;
    await saveAll(
      store,
      Array.from({ length: count }, (_, at) => sampleMessage(`many/${at}`, String(at))),
    );
    const expected = Array.from({ length: count }, (_, at) => String(at));
    assert.deepEqual(await payloads(store, "many/+", 1_000), expected);
    const client = await (servers[0] as RedisServer).connect();
    const [first] = (await client.text("ZRANGE", "mqtt:msg:#topics", 0, 0, "WITHSCORES")) as string[];
    const score = await client.text("ZSCORE", "mqtt:msg:#topics", first ?? "");
    for (let at = 0; at < count; at += 500) {
      const members = Array.from({ length: 500 }, (_, index) => [Number(score), `many/${at + index}`]).flat();
      await client.command("ZADD", "mqtt:msg:#topics", ...members);
    }
    assert.deepEqual(await payloads(store, "#", 1_000), expected);
    assert.equal((await store.listTopics({ topicFilter: "many/#", limit: 20 })).topics.length, 20);
    assert.equal((await store.totals()).messages, count);
  });

  test("a page of topics ends when many messages were counted for it, and the next one goes on", async (t) => {
    const { place } = await startSingle(t);
    const { store } = await startStore(t, place);
    const many = sampleMessages("many", 20_001);
    for (let at = 0; at < many.length; at += 1_000) await saveAll(store, many.slice(at, at + 1_000));
    await saveAll(store, [sampleMessage("few", "x"), sampleMessage("other", "x")]);
    const { topics: first, next } = await store.listTopics({ topicFilter: "#", limit: 10 });
    assert.deepEqual(
      first.map(({ topic, messages }) => [topic, messages]),
      [
        ["few", 1],
        ["many", 20_001],
      ],
    );
    assert.equal(next, "many");
    const rest = await store.listTopics({ topicFilter: "#", limit: 10, after: "many" });
    assert.deepEqual([rest.topics.map(({ topic }) => topic), rest.next], [["other"], undefined]);
  });

  test("a topic that is stored to while the index is walked makes the walk leave out no other", async (t) => {
    const { place, servers } = await startSingle(t);
    const { store } = await startStore(t, place);
    const names = Array.from({ length: 1_500 }, (_, at) => `walk/${at}`);
    await saveAll(
      store,
      names.map((name) => sampleMessage(name)),
    );
    const client = await (servers[0] as RedisServer).connect();
    const send = ((commands: readonly RedisCommand[]) =>
      Promise.all(commands.map((command) => client.command(...command)))) as unknown as Send;
    const keys = new RedisKeys({} as RedisStoreOptions);
    const found = new Set<string>();
    for await (const step of walkTopics({ keys, send, messageTtl: 0, orphanAge: 0, isCluster: false })) {
      for (const { member } of step) found.add(member);
      if (step.length > 0 && found.size < names.length) {
        await store.saveMessage(sampleMessage(step.at(-1)?.member ?? "", "again"));
      }
    }
    assert.deepEqual(
      names.filter((name) => !found.has(name)),
      [],
    );
  });

  test("a message that waited for a moment goes with its entry: it takes up no room among early deaths", async (t) => {
    const { place } = await startSingle(t);
    const messageTtl = 100;
    const { store } = await startStore(t, place, { messageTtl });
    const [waited, early] = [Date.now() - 1_000, Date.now() - 50_000];
    await saveAll(store, [
      sampleMessage("t", "x", { timestamp: waited }),
      sampleMessage("t", "x", { timestamp: early }),
    ]);
    assert.equal(await store.expire(waited + messageTtl * 1_000, 10), 1, "the early one");
    assert.equal(await store.expire(Date.now() + messageTtl * 1_000, 10), 1, "the other one, with its entry");
  });

  test("a page ends after so many entries without a message, and the next one goes on", async (t) => {
    const { place, servers } = await startSingle(t);
    const { store } = await startStore(t, place);
    const client = await (servers[0] as RedisServer).connect();
    const now = Date.now();
    for (let round = 0; round < 10; round++) {
      const entries = Array.from({ length: 500 }, () => [now, toB62(sampleMessage("t").id)]).flat();
      await client.command("ZADD", "mqtt:msg:t", ...entries);
    }
    await store.saveMessage(sampleMessage("t", "behind"));
    const first = await store.readPage({ topicFilter: "t", maxMessages: 100, maxBytes: 1_000 });
    assert.deepEqual(first.messages, []);
    assert.ok(first.next);
    assert.deepEqual(await payloads(store, "t"), ["behind"]);
  });

  test("entries that were read ahead are kept for the next page, unless their topics are too long", async (t) => {
    const { place, servers } = await startSingle(t);
    const { store } = await startStore(t, place);
    const client = await (servers[0] as RedisServer).connect();
    for (const [length, kept] of [
      [10, true],
      [60_000, false],
    ] as const) {
      const name = "x".repeat(length);
      const messages = Array.from({ length: 40 }, (_, at) => sampleMessage(`${length}/${at}/${name}`, String(at)));
      await saveAll(store, messages);
      const request = { topicFilter: `${length}/#`, maxMessages: 20, maxBytes: 1_000 };
      const { next = "" } = await store.readPage(request);
      await client.command("CONFIG", "RESETSTAT");
      const page = await store.readPage({ ...request, after: next });
      assert.equal(
        page.messages.map(({ message }) => String(message.payload)).join(),
        messages
          .slice(20)
          .map(({ payload }) => String(payload))
          .join(),
      );
      const reads = /cmdstat_zrange:calls=(\d+)/.exec(String(await client.text("INFO", "commandstats")))?.[1];
      assert.equal(reads === undefined, kept, `${reads} reads of entries`);
    }
  });

  test("calls whose time is over leave Redis to others", async (t) => {
    const { place, servers } = await startSingle(t);
    const { store } = await startStore(t, place, { timeout: 1_000 });
    const client = await (servers[0] as RedisServer).connect();
    // More than can be counted in time, put there by a script.
    await client.command(
      "EVAL",
      `for at = 1, 300000 do redis.call("ZADD", KEYS[1], at, "topic/" .. at) end`,
      1,
      "mqtt:msg:#topics",
    );
    const outcomes = await Promise.allSettled(Array.from({ length: 32 }, () => store.totals()));
    assert.ok(outcomes.every(({ status }) => status === "rejected"));
    const reads = async () => /cmdstat_zrange:calls=(\d+)/.exec(String(await client.text("INFO", "commandstats")))?.[1];
    let before = await reads();
    await waitFor(
      async () => {
        const now = await reads();
        const isQuiet = now === before;
        before = now;
        return isQuiet;
      },
      { what: "an end of what nobody waits for", interval: 200, timeout: 5_000 },
    );
    assert.deepEqual(await payloads(store, "topic/1"), []);
    assert.equal(store.health().status, "ok");
  });

  test("more readers at once than read ahead: each gets everything once", async (t) => {
    const { place } = await startSingle(t);
    const { store } = await startStore(t, place);
    await saveAll(
      store,
      Array.from({ length: 200 }, (_, at) => sampleMessage(`r/${at % 50}`, String(at))),
    );
    const readers = Array.from({ length: 50 }, (_, at) => readAll(store, `r/${at}/#`, { maxMessages: 1 }));
    for (const [at, found] of (await Promise.all(readers)).entries()) {
      assert.deepEqual(
        found.map(({ message }) => String(message.payload)),
        [0, 50, 100, 150].map((offset) => String(at + offset)),
      );
    }
    const same = await Promise.all(Array.from({ length: 40 }, () => topics(store, "r/#")));
    for (const found of same) assert.equal(found.length, 200);
  });
});
