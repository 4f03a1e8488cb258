// Moving over from EMQX's plugin with Redis, and back: its data is delivered, and ours is what it would have written.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { allKeys, expected, type KeyContent, loadOriginal, originalKeys } from "../store/original-data.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { startBrokerWith } from "../support/omp.ts";
import { redisConfiguration, redisSkip, startSingle } from "../support/redis.ts";
import type { RedisServer } from "../support/redis-server.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const MESSAGE_KEY = "mqtt:msg:";
const TOPICS_KEY = "mqtt:msg:#topics";
const inOrder = expected.stored_in_order;

async function startRedis(t: Scope) {
  const { place, servers } = await startSingle(t);
  const redis = await (servers[0] as RedisServer).connect();
  return { redis, startBroker: () => startBrokerWith(t, redisConfiguration(place)) };
}

/** A message's hash as texts, without what differs from one publish to the next. */
function fieldsOf({ content }: KeyContent): unknown {
  const fields = Object.fromEntries(
    content.map(([name, value]) => [name, Buffer.from(value, "base64").toString("latin1")]),
  );
  assert.match(fields.id ?? "", /^[A-Za-z0-8]{47}$/);
  assert.match(fields.ts ?? "", /^\d{13}$/);
  return { ...fields, id: "", ts: "" };
}

describe("data of EMQX's plugin in Redis", { skip: redisSkip("single") }, () => {
  test("a subscriber gets exactly what was stored; once acknowledged no key of it is left", async (t) => {
    const { redis, startBroker } = await startRedis(t);
    await loadOriginal(redis);
    const { address } = await startBroker();
    const { client, packets, received } = await connectClient(t, address, { clientId: "new" });
    // With QoS 2, MQTT.js hands a message on when it is released, and those of QoS 1 overtake it.
    await client.subscribeAsync("t/#", { qos: 1, rap: true });
    await received(inOrder.length);
    await waitFor(async () => (await redis.keys(`${MESSAGE_KEY}*`)).every((key) => key === TOPICS_KEY), {
      what: "no key of a message or topic",
    });
    assert.deepEqual(
      packets.map(({ topic, qos, retain, payload }) => ({
        topic,
        qos,
        retain,
        payload_base64: Buffer.from(payload).toString("base64"),
      })),
      inOrder.map(({ topic, retain, payload_base64 }) => ({ topic, qos: 1, retain, payload_base64 })),
    );
  });

  test("a client that had subscribed gets its messages without subscribing again", async (t) => {
    const { redis, startBroker } = await startRedis(t);
    await loadOriginal(redis);
    const { address } = await startBroker();
    const { packets, received } = await connectClient(t, address, { clientId: "c with space" });
    await received(1);
    const [message] = inOrder.filter(({ topic }) => topic === "t/ü/日本");
    assert.equal(Buffer.from(packets[0]?.payload ?? "").toString("base64"), message?.payload_base64);
  });

  test("the same publishes and subscriptions leave the same fields, members and ends", async (t) => {
    const { redis, startBroker } = await startRedis(t);
    const { address } = await startBroker();
    const senders = new Map<string, Awaited<ReturnType<typeof connectClient>>>();
    for (const { sender, topic, qos, retain, payload_base64 } of inOrder) {
      const publisher =
        senders.get(sender) ?? (await connectClient(t, address, { clientId: sender, protocolVersion: 4 }));
      senders.set(sender, publisher);
      await publisher.client.publishAsync(topic, Buffer.from(payload_base64, "base64"), { qos, retain });
    }
    const ours = await allKeys(redis);
    const isHash = ({ key, type }: KeyContent) => type === "hash" && key.startsWith(MESSAGE_KEY);
    const order = (keys: readonly KeyContent[]) =>
      keys
        .filter(isHash)
        .map(fieldsOf)
        .map((fields) => JSON.stringify(fields, Object.keys(fields as object).sort()))
        .sort();
    assert.deepEqual(order(ours).map(shortened), order(originalKeys).map(shortened));
    for (const { key, ttl } of ours.filter(isHash)) assert.ok(ttl > 7_100 && ttl <= 7_200, `${key}: ${ttl}`);
    const members = (keys: readonly KeyContent[]) =>
      keys
        .filter(({ key, type }) => type === "zset" && key !== TOPICS_KEY)
        .map(({ key, content }) => [key, content.length])
        .sort();
    assert.deepEqual(members(ours), members(originalKeys));
    for (const { key, content } of ours.filter(isHash)) {
      const id = Buffer.from(new Map(content).get("id") ?? "", "base64").toString();
      assert.equal(key, MESSAGE_KEY + id);
      assert.ok(ours.some(({ type, content }) => type === "zset" && content.some(([member]) => member === id)));
    }
    for (const { clientid, topic, qos } of expected.subscriptions) {
      const { client, end } = await connectClient(t, address, { clientId: `${clientid}` });
      await client.subscribeAsync(topic, { qos });
      await end();
      const saved = async () => (await redis.hash(`mqtt:sub:${clientid}`))[topic] === String(qos);
      await waitFor(saved, { what: `the subscription of ${clientid} to ${topic}` });
    }
  });
});

/** So that a difference in a large payload is told in a line. */
function shortened(text: string): string {
  return text.length < 1_000 ? text : `${text.slice(0, 500)}… ${text.length} … ${text.slice(-400)}`;
}
