// Retained messages (3.3.1.3).

import assert from "node:assert/strict";
import { text } from "../../broker/raw-client.ts";
import type { ConformanceCase } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "the last retained message of each topic goes to a new subscription, with RETAIN 1",
    v4: ["3.3.1-5", "3.3.1-6", "3.3.1-8"],
    v5: ["3.3.1-5", "3.3.1-9"],
    run: async ({ connect }) => {
      const publisher = await connect("p");
      for (const [topic, payload] of [
        ["a/1", "old"],
        ["a/2", "two"],
        ["a/1", "one"],
        ["b", "other"],
      ] as const) {
        await publisher.publishAcked(topic, payload, { retain: true });
      }
      const client = await connect("c");
      await client.subscribe("a/#", { qos: 1 });
      const packets = [await client.next("publish"), await client.next("publish")];
      assert.deepEqual(new Set(packets.map(text)), new Set(["one", "two"]));
      assert.ok(packets.every(({ retain, qos }) => retain && qos === 1));
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "a retained message keeps its QoS, within that of the subscription",
    v4: ["3.3.1-5", "3.8.4-6"],
    v5: ["3.3.1-5", "3.8.4-8"],
    run: async ({ connect }) => {
      const publisher = await connect("p");
      for (const qos of [0, 1, 2] as const) publisher.publish(`t/${qos}`, { qos, retain: true, payload: String(qos) });
      await publisher.ping();
      for (const granted of [0, 1, 2] as const) {
        const client = await connect("c");
        await client.subscribe("t/+", { qos: granted });
        for (let count = 0; count < 3; count++) {
          const packet = await client.next("publish");
          assert.equal(packet.qos, Math.min(granted, Number(text(packet))));
        }
      }
    },
  },
  {
    title: "a retained message of QoS 0 replaces the one before",
    v4: ["3.3.1-7"],
    v5: ["3.3.1-5"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.publishAcked("t", "old", { retain: true });
      client.publish("t", { qos: 0, payload: "new", retain: true });
      await client.subscribe("t");
      assert.equal(text(await client.next("publish")), "new");
    },
  },
  {
    title: "an empty retained message is delivered, removes the one before and is not kept",
    v4: ["3.3.1-10", "3.3.1-11"],
    v5: ["3.3.1-6", "3.3.1-7"],
    run: async ({ connect, watch, fixture }) => {
      const client = await connect("c");
      await client.publishAcked("t", "x", { retain: true });
      const watcher = await watch("t");
      await watcher.next("publish");
      await client.publishAcked("t", "", { retain: true });
      const packet = await watcher.next("publish");
      assert.deepEqual([text(packet), packet.retain], ["", false]);
      const late = await connect("late");
      await late.subscribe("t");
      assert.deepEqual(await late.ping(), []);
      assert.equal(fixture.broker.metrics.retained, 0);
    },
  },
  {
    title: "a message without RETAIN neither is kept nor changes what is kept, even if it is empty",
    v4: ["3.3.1-12"],
    v5: ["3.3.1-8"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.publishAcked("t", "kept", { retain: true });
      await client.publishAcked("t", "other");
      await client.publishAcked("t", "");
      await client.publishAcked("u", "other");
      await client.subscribe("#", { qos: 0 });
      assert.equal(text(await client.next("publish")), "kept");
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "to a subscription that is there already, a retained message goes with RETAIN 0",
    v4: ["3.3.1-9"],
    v5: ["3.3.1-12"],
    run: async ({ connect, watch }) => {
      const watcher = await watch("t");
      const client = await connect("c");
      client.publish("t", { qos: 0, retain: true });
      assert.equal((await watcher.next("publish")).retain, false);
    },
  },
  {
    title: "Retain As Published: RETAIN goes on as it was sent, also out of the queue",
    v5: ["3.3.1-13"],
    run: async ({ connect, connectPersistent }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t", { retainAsPublished: true, qos: 1 });
      const publisher = await connect("p");
      for (const retain of [true, false]) {
        await publisher.publishAcked("t", "x", { retain });
        const packet = await client.next("publish");
        assert.equal(packet.retain, retain);
        client.puback(packet.packetId);
      }
      await client.disconnect();
      for (const retain of [true, false]) await publisher.publishAcked("t", "x", { retain });
      const again = await connectPersistent("c");
      for (const retain of [true, false]) assert.equal((await again.next("publish")).retain, retain);
    },
  },
  {
    title: "Retain Handling 1: retained messages come with a new subscription only",
    v5: ["3.3.1-10"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.publishAcked("t", "x", { retain: true });
      await client.subscribe("t", { retainHandling: 1, qos: 0 });
      await client.nextPayloads(1);
      await client.subscribe("t", { retainHandling: 1, qos: 0 });
      assert.deepEqual(await client.ping(), []);
      await client.unsubscribe("t");
      await client.subscribe("t", { retainHandling: 1, qos: 0 });
      await client.nextPayloads(1);
    },
  },
  {
    title: "Retain Handling 1 on a resumed session: the subscription is there, so nothing comes",
    v5: ["3.3.1-10"],
    run: async ({ connect, connectPersistent }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t", { qos: 0 });
      await client.disconnect();
      await (await connect("p")).publishAcked("t", "x", { retain: true });
      const again = await connectPersistent("c");
      await again.subscribe("t", { retainHandling: 1, qos: 0 });
      assert.deepEqual(await again.ping(), []);
    },
  },
  {
    title: "Retain Handling 2: retained messages never come with a subscription",
    v5: ["3.3.1-11"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.publishAcked("t", "x", { retain: true });
      for (let count = 0; count < 2; count++) await client.subscribe("t", { retainHandling: 2, qos: 0 });
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "Retain Handling 0: retained messages come with every SUBSCRIBE",
    v5: ["3.3.1-9"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.publishAcked("t", "x", { retain: true });
      for (let count = 0; count < 2; count++) {
        await client.subscribe("t", { retainHandling: 0, qos: 0 });
        assert.deepEqual(await client.nextPayloads(1), ["x"]);
      }
    },
  },
  {
    title: "retained messages outlive the session of their publisher",
    v4: ["3.1.2-7"],
    v5: ["3.3.1-5"],
    run: async ({ connect }) => {
      const publisher = await connect("p");
      await publisher.publishAcked("t", "x", { retain: true });
      await publisher.disconnect();
      await (await connect("p")).disconnect();
      const client = await connect("c");
      await client.subscribe("t", { qos: 0 });
      assert.deepEqual(await client.nextPayloads(1), ["x"]);
    },
  },
];
