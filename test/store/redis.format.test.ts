// The keys in Redis: what EMQX's plugin left is read as its own, and what we write is what it would have written.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { toB62 } from "../../src/mqtt/base62.ts";
import { StoreInvalidError } from "../../src/store/errors.ts";
import { redisSkip, startSingle, startSingleWithRights } from "../support/redis.ts";
import type { RedisServer } from "../support/redis-server.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { allKeys, expected, loadOriginal, originalKeys, originalMessages } from "./original-data.ts";
import { startStore } from "./redis-stores.ts";
import { comparable, keyOf, payloads, readAll, sampleMessage, saveAll, topics } from "./sample-messages.ts";

/** In seconds, as the recording has it. */
const MESSAGE_TTL = 7_200;
const TOPICS_KEY = "mqtt:msg:#topics";

async function started(t: Scope, start = startSingle, options = {}) {
  const { place, servers } = await start(t);
  const server = servers[0] as RedisServer;
  const client = await server.connect();
  return { client, server, open: () => startStore(t, place, { messageTtl: MESSAGE_TTL, ...options }) };
}

const inOrder = expected.stored_in_order.map(({ sender, topic, qos, retain, payload_base64 }) => ({
  from: sender,
  topic,
  qos,
  retain,
  payload: payload_base64,
}));

describe("data of EMQX's plugin", { skip: redisSkip("single") }, () => {
  test("is read by wildcard in publish order, and leaves no key of its own once it is acknowledged", async (t) => {
    const { client, open } = await started(t);
    await loadOriginal(client);
    const { store } = await open();
    const found = (await readAll(store, "t/#")).map(({ message }) => message);
    assert.deepEqual(
      found.map(({ from, topic, qos, retain, payload }) => ({
        from,
        topic,
        qos,
        retain,
        payload: Buffer.from(payload).toString("base64"),
      })),
      inOrder,
    );
    for (const topic of new Set(inOrder.map((message) => message.topic))) {
      assert.equal((await readAll(store, topic)).length, inOrder.filter((message) => message.topic === topic).length);
    }
    for (const { clientid, topic, qos } of expected.subscriptions) {
      const listed = await store.listSubscriptions(clientid);
      assert.equal(listed.find(({ topicFilter }) => topicFilter === topic)?.qos, qos);
      await store.deleteSubscription(clientid, topic);
    }
    await store.deleteMessages(found.map(keyOf));
    assert.deepEqual(await client.keys(), [TOPICS_KEY]);
  });

  test("is read by its exact topics, and not lost, where SCAN is not allowed", async (t) => {
    const { client, open } = await started(t, startSingleWithRights);
    await loadOriginal(client);
    const { store } = await open();
    assert.equal((await readAll(store, "t/2")).length, inOrder.filter(({ topic }) => topic === "t/2").length);
    assert.deepEqual(await readAll(store, "t/#"), []);
    // Once a topic is stored to again it is found by wildcards, with what it had.
    await store.saveMessage(sampleMessage("t/retained", "new"));
    assert.deepEqual(await payloads(store, "t/#"), ["kept", "new"]);
  });

  test("is what we write, key by key, but for the life of the sorted sets and the index of topics", async (t) => {
    const { client, open } = await started(t);
    const { store } = await open();
    await saveAll(store, originalMessages());
    for (const { clientid, topic, qos } of expected.subscriptions) {
      const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
      await store.saveSubscription({ clientId: clientid, topicFilter: topic, qos, ...options });
    }
    const ours = (await allKeys(client)).filter(({ key }) => key !== TOPICS_KEY);
    const theirs = originalKeys.toSorted((a, b) => (a.key < b.key ? -1 : 1));
    assert.deepEqual(
      ours.map(({ key, type }) => ({ key, type })),
      theirs.map(({ key, type }) => ({ key, type })),
    );
    for (const [at, { key, type, content, ttl }] of theirs.entries()) {
      const own = ours[at];
      assert.ok(own);
      if (type === "hash") {
        // Redis keeps the order of the fields in small hashes only.
        assert.deepEqual(new Map(own.content), new Map(content), key);
        assert.ok(ttl === -1 ? own.ttl === -1 : Math.abs(own.ttl - ttl) <= 10, `${key} expires in ${own.ttl} s`);
        continue;
      }
      assert.deepEqual(
        own.content.map(([member]) => member),
        content.map(([member]) => member),
        key,
      );
      for (const [, score] of own.content) assert.ok(Math.abs(Number(score) - Date.now()) < 60_000, `${key}: ${score}`);
      assert.ok(own.ttl <= MESSAGE_TTL && own.ttl > MESSAGE_TTL - 10);
    }
    const index = (await allKeys(client)).find(({ key }) => key === TOPICS_KEY);
    assert.equal(index?.type, "zset");
    assert.deepEqual(
      index.content.map(([topic]) => topic).sort(),
      [...new Set(originalMessages().map(({ topic }) => topic))].sort(),
    );
  });

  test("scores are the time of storing, to the microsecond, and rise", async (t) => {
    const { client, open } = await started(t);
    const { store } = await open();
    const before = Date.now();
    await saveAll(
      store,
      Array.from({ length: 300 }, () => sampleMessage("t", "x", { timestamp: 1_000_000_000_000 })),
    );
    const scores = (await allKeys(client))
      .find(({ key }) => key === "mqtt:msg:t")
      ?.content.map(([, score]) => Number(score));
    assert.equal(new Set(scores).size, 300);
    for (const score of scores ?? []) assert.ok(score >= before && score <= Date.now() + 1);
  });
});

describe("scores after a restart", { skip: redisSkip("single") }, () => {
  test("are above those stored, though the clock was set back meanwhile", async (t) => {
    const { client, open } = await started(t);
    const { store: before } = await open();
    await before.saveMessage(sampleMessage("t", "first"));
    await before.stop();
    const ahead = Date.now() + 3_600_000;
    const [id62 = ""] = (await client.text("ZRANGE", "mqtt:msg:t", 0, -1)) as string[];
    await client.command("ZADD", "mqtt:msg:t", ahead, id62);
    await client.command("ZADD", TOPICS_KEY, ahead, "t");
    const { store } = await open();
    await store.lastMessageId();
    await saveAll(store, [sampleMessage("t", "second"), sampleMessage("u", "third")]);
    assert.deepEqual(await payloads(store, "#"), ["first", "second", "third"]);
  });

  test("take no notice of one that no clock has told", async (t) => {
    const { client, open } = await started(t);
    await client.command("ZADD", TOPICS_KEY, "inf", "t");
    const { store } = await open();
    await store.lastMessageId();
    await saveAll(store, [sampleMessage("u", "first"), sampleMessage("u", "second")]);
    assert.deepEqual(await payloads(store, "u"), ["first", "second"]);
  });
});

describe("what the store adds", { skip: redisSkip("single") }, () => {
  test("MQTT 5 properties and expiry are two more fields of the hash, and shorten its life", async (t) => {
    const { client, open } = await started(t);
    const { store } = await open();
    const expiresAt = Date.now() + 60_000;
    const message = sampleMessage("t", "x", { expiresAt, properties: { contentType: "text/plain" } });
    await store.saveMessage(message);
    const key = `mqtt:msg:${toB62(message.id)}`;
    const { properties, expires_at, ...rest } = await client.hash(key);
    assert.deepEqual(JSON.parse(properties ?? ""), { content_type: "text/plain" });
    assert.equal(expires_at, String(expiresAt));
    assert.deepEqual(Object.keys(rest), ["id", "from", "qos", "topic", "payload", "ts", "retain"]);
    const life = Number(await client.text("TTL", key));
    assert.ok(life > 50 && life <= 60, `${life} s`);
    assert.deepEqual(
      (await readAll(store, "t")).map(({ message }) => comparable(message)),
      [comparable(message)],
    );
  });

  test("all of it is gone after message_ttl, whether anybody looks or not", async (t) => {
    const { client, open } = await started(t, startSingle, { messageTtl: 1 });
    const { store } = await open();
    await saveAll(store, [sampleMessage("t/1"), sampleMessage("t/2")]);
    assert.ok((await client.keys()).length > 0);
    await waitFor(async () => (await client.keys()).length === 0, { what: "an empty database", timeout: 5_000 });
  });

  test("message_ttl = 0 takes back the end that a sorted set was given before", async (t) => {
    const { client, open } = await started(t, startSingle, { messageTtl: 0 });
    await client.command("ZADD", "mqtt:msg:t", 1, "MA");
    await client.command("EXPIRE", "mqtt:msg:t", 30);
    const { store } = await open();
    await store.saveMessage(sampleMessage("t"));
    assert.ok(Number(await client.text("TTL", "mqtt:msg:t")) > 1_000_000_000);
  });

  test("other prefixes of keys", async (t) => {
    const { client, open } = await started(t, startSingle, { messageKeyPrefix: "a{b}", subscriptionKeyPrefix: "c*" });
    const { store } = await open();
    await store.saveMessage(sampleMessage("t"));
    await store.saveSubscription({ ...sampleSubscription, clientId: "x" });
    const keys = await client.keys();
    assert.deepEqual(
      keys.filter((key) => !key.startsWith("a{b}:")),
      ["c*:x"],
    );
    assert.ok(keys.includes("a{b}:t") && keys.includes("a{b}:#topics"));
    assert.deepEqual(await topics(store, "#"), ["t"]);
  });
});

const sampleSubscription = {
  clientId: "c",
  topicFilter: "t",
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
} as const;

describe("keys that collide", { skip: redisSkip("single") }, () => {
  test("a topic that reads like the id of a message is refused", async (t) => {
    const { client, open } = await started(t);
    const { store } = await open();
    const message = sampleMessage("t", "kept");
    await store.saveMessage(message);
    const before = await allKeys(client);
    const id62 = toB62("00063E2A5B7C9D10A1B2C3D4E5F6FFFF");
    await assert.rejects(store.saveMessage(sampleMessage(id62, "x")), (error: Error) => {
      assert.ok(error instanceof StoreInvalidError);
      assert.match(error.message, /reads like the id of a message/);
      return true;
    });
    assert.deepEqual(withoutTtl(await allKeys(client)), withoutTtl(before));
    // Shorter ones are no ids of our time.
    await store.saveMessage(sampleMessage("MA", "x"));
    assert.deepEqual(await payloads(store, "MA"), ["x"]);
  });

  test("a topic or message whose key holds something else is refused, and nothing is overwritten or left behind", async (t) => {
    const { client, open } = await started(t);
    const { store } = await open();
    const byTopic = sampleMessage("taken", "x");
    const byId = sampleMessage("free", "x");
    await client.command("HSET", "mqtt:msg:taken", "a", "b");
    await client.command("ZADD", `mqtt:msg:${toB62(byId.id)}`, 1, "m");
    await client.command("HSET", "mqtt:sub:c", "t", "1");
    const before = await allKeys(client);
    const good = sampleMessage("good", "kept");
    const outcomes = await Promise.allSettled([byTopic, byId, good].map((message) => store.saveMessage(message)));
    assert.deepEqual(
      outcomes.map((outcome) => outcome.status === "fulfilled" || outcome.reason.code),
      ["STORE_INVALID", "STORE_INVALID", true],
    );
    assert.deepEqual(await payloads(store, "#"), ["kept"]);
    await store.deleteMessages([good, byTopic].map(keyOf));
    assert.deepEqual(withoutTtl((await allKeys(client)).filter(({ key }) => key !== TOPICS_KEY)), withoutTtl(before));
    assert.equal(store.health().status, "ok");
  });
});

describe("the key of the index", { skip: redisSkip("single") }, () => {
  test("holds something else: the store is away until it is removed, and no message is told to be invalid", async (t) => {
    const { client, open } = await started(t, startSingle, { timeout: 2_000 });
    await client.command("SET", TOPICS_KEY, "x");
    const { store, healths } = await open();
    await assert.rejects(store.saveMessage(sampleMessage("t")), { code: "STORE_UNAVAILABLE", message: /#topics/ });
    await assert.rejects(readAll(store, "#"), { code: "STORE_UNAVAILABLE", message: /#topics/ });
    assert.equal((await store.checkHealth()).status, "error");
    assert.deepEqual(await client.keys(), [TOPICS_KEY]);
    await client.command("DEL", TOPICS_KEY);
    assert.equal((await store.checkHealth()).status, "ok");
    await store.saveMessage(sampleMessage("t", "stored"));
    assert.deepEqual(await payloads(store, "#"), ["stored"]);
    assert.deepEqual(
      healths.map(({ status }) => status),
      ["error", "ok"],
    );
  });
});

describe("entries without a message", { skip: redisSkip("single") }, () => {
  test("are swept by readers once they are old, and left alone while they may be being written", async (t) => {
    const { client, open } = await started(t, startSingle, { timeout: 1_000 });
    const { store } = await open();
    const [old, young] = [sampleMessage("t"), sampleMessage("t")];
    await client.command("ZADD", "mqtt:msg:t", Date.now() - 2_500, toB62(old.id), Date.now(), toB62(young.id));
    assert.deepEqual(await readAll(store, "t"), []);
    await waitFor(async () => ((await client.text("ZRANGE", "mqtt:msg:t", 0, -1)) as string[]).length === 1, {
      what: "the sweep",
    });
    assert.deepEqual(await client.text("ZRANGE", "mqtt:msg:t", 0, -1), [toB62(young.id)]);
  });

  test("are swept though nobody reads their topics, and the topic goes from the index", async (t) => {
    const { client, open } = await started(t, startSingle, { timeout: 1_000, messageTtl: 0 });
    const { store } = await open();
    const kept = sampleMessage("kept", "x");
    await store.saveMessage(kept);
    const old = Date.now() - 5_000;
    const topicsOfOld = Array.from({ length: 70 }, (_, at) => `old/${at}`);
    for (const [at, topic] of topicsOfOld.entries()) {
      await client.command("ZADD", TOPICS_KEY, old + at, topic);
      for (let entry = 0; entry < 3; entry++) {
        await client.command("ZADD", `mqtt:msg:${topic}`, old, toB62(sampleMessage(topic).id));
      }
    }
    await waitFor(
      async () => {
        assert.equal(await store.expire(Date.now(), 500), 0);
        return ((await client.text("ZRANGE", TOPICS_KEY, 0, -1)) as string[]).length === 1;
      },
      { what: "an index with one topic", interval: 1 },
    );
    assert.deepEqual(await client.keys(), ["mqtt:msg:#topics", `mqtt:msg:${toB62(kept.id)}`, "mqtt:msg:kept"].sort());
    assert.deepEqual(await payloads(store, "#"), ["x"]);
  });

  test("what is no id, and hashes of something else, are passed over", async (t) => {
    const { client, open } = await started(t);
    const { store } = await open();
    await store.saveMessage(sampleMessage("t", "kept"));
    await client.command("ZADD", "mqtt:msg:t", Date.now(), "not an id", Date.now(), "MA");
    await client.command("HSET", "mqtt:msg:not an id", "topic", "t");
    await client.command("HSET", "mqtt:msg:MA", "x", "y");
    assert.deepEqual(await payloads(store, "t"), ["kept"]);
    assert.deepEqual(await payloads(store, "#"), ["kept"]);
  });
});

function withoutTtl(keys: Awaited<ReturnType<typeof allKeys>>): unknown {
  return keys.map(({ key, type, content }) => ({ key, type, content }));
}
