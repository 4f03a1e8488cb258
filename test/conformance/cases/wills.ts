// Will Messages (3.1.2.5, 3.1.3.2).

import assert from "node:assert/strict";
import type { Will } from "../../../src/mqtt/codec/packets.ts";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import { text } from "../../broker/raw-client.ts";
import type { ConformanceCase } from "../conformance-case.ts";

const will = (properties?: Will["properties"], more: Partial<Will> = {}): Will => ({
  topic: "will",
  payload: Buffer.from("gone"),
  qos: 1,
  retain: false,
  properties,
  ...more,
});

export const cases: readonly ConformanceCase[] = [
  {
    title: "a will is published when the connection ends without DISCONNECT, once",
    v4: ["3.1.2-8", "3.1.2-10"],
    v5: ["3.1.2-7", "3.1.2-8", "3.1.2-10"],
    run: async ({ connect, connectPersistent, watch }) => {
      const watcher = await watch("will");
      await (await connectPersistent("c", { will: will() })).break();
      assert.equal(text(await watcher.next("publish")), "gone");
      await (await connectPersistent("c")).break();
      const other = await connect("other");
      await other.ping();
      assert.deepEqual(await watcher.ping(), []);
    },
  },
  {
    title: "a will is not published after DISCONNECT, and not without a will",
    v4: ["3.1.2-10", "3.1.2-12", "3.14.4-3"],
    v5: ["3.1.2-8", "3.1.2-10", "3.14.4-3"],
    run: async ({ connect, watch }) => {
      const watcher = await watch("#");
      await (await connect("c", { will: will() })).disconnect();
      await (await connect("d")).break();
      await (await connect("other")).ping();
      assert.deepEqual(await watcher.ping(), []);
    },
  },
  {
    title: "DISCONNECT with 0x04 or an error publishes the will",
    v5: ["3.1.2-8"],
    run: async ({ connect, watch }) => {
      const watcher = await watch("will");
      for (const reasonCode of [ReasonCode.DisconnectWithWillMessage, ReasonCode.UnspecifiedError]) {
        await (await connect("c", { will: will() })).disconnect(reasonCode);
        assert.equal(text(await watcher.next("publish")), "gone");
      }
    },
  },
  {
    title: "a will goes out with its QoS, and is retained only if it says so",
    v4: ["3.1.2-9", "3.1.2-16", "3.1.2-17"],
    v5: ["3.1.2-9", "3.1.2-12", "3.1.2-14", "3.1.2-15"],
    run: async ({ connect, watch }) => {
      const watcher = await watch("w/#");
      for (const qos of [0, 1, 2] as const) {
        for (const retain of [false, true]) {
          const topic = `w/${qos}/${retain}`;
          await (await connect("c", { will: will(undefined, { topic, qos, retain }) })).break();
          assert.equal((await watcher.next("publish")).qos, qos);
        }
      }
      const late = await connect("late");
      await late.subscribe("w/#", { qos: 2 });
      const topics = new Set<string>();
      for (let count = 0; count < 3; count++) topics.add((await late.next("publish")).topic);
      assert.deepEqual(topics, new Set(["w/0/true", "w/1/true", "w/2/true"]));
      assert.deepEqual(await late.ping(), []);
    },
  },
  {
    title: "the will of a CONNECT that was refused is never published",
    v4: ["3.1.2-8", "3.1.4-5"],
    v5: ["3.1.2-8", "3.1.4-6"],
    options: { maxClientidLen: 23 },
    run: async ({ connect, watch }) => {
      const watcher = await watch("will");
      await (await connect("x".repeat(24), { will: will() })).closed();
      assert.deepEqual(await watcher.ping(), []);
    },
  },
  {
    title: "will delay: the will is published when the delay is over, once, without the delay property",
    v5: ["3.1.2-7", "3.1.2-8", "3.1.2-10"],
    run: async ({ connectPersistent, watch, advance }) => {
      const watcher = await watch("will");
      const properties = { willDelayInterval: 10, contentType: "x" };
      await (await connectPersistent("c", { will: will(properties) })).break();
      advance(9);
      assert.deepEqual(await watcher.ping(), []);
      advance(1);
      const packet = await watcher.next("publish");
      assert.deepEqual(packet.properties, { contentType: "x" });
      advance(100);
      const again = await connectPersistent("c");
      await again.disconnect();
      assert.deepEqual(await watcher.ping(), []);
    },
  },
  {
    title: "will delay: a client that is back in time, with its session, keeps the will from being published",
    v5: ["3.1.3-9", "3.1.2-8"],
    run: async ({ connectPersistent, connect, watch, advance }) => {
      const watcher = await watch("#");
      await (await connectPersistent("c", { will: will({ willDelayInterval: 10 }) })).break();
      advance(5);
      const again = await connectPersistent("c");
      const marked = await connectPersistent("marked", { will: will({ willDelayInterval: 10 }, { topic: "marker" }) });
      await marked.break();
      await (await connect("p")).ping();
      advance(11);
      assert.equal((await watcher.next("publish")).topic, "marker");
      assert.deepEqual(await again.ping(), []);
      assert.deepEqual(await watcher.ping(), []);
    },
  },
  {
    title: "will delay: a takeover with Clean Start 0 keeps the will from being published, even at once",
    v5: ["3.1.3-9", "3.1.2-8"],
    run: async ({ connectPersistent, watch, ended }) => {
      const watcher = await watch("will");
      const client = await connectPersistent("c", { will: will({ willDelayInterval: 10 }) });
      const again = await connectPersistent("c");
      await ended(client, ReasonCode.SessionTakenOver);
      await again.ping();
      assert.deepEqual(await watcher.ping(), []);
    },
  },
  {
    title: "will delay: the end of the session publishes the will at once",
    v5: ["3.1.2-8"],
    run: async ({ connect, connectPersistent, watch, advance }) => {
      const watcher = await watch("will");
      const delayed = { will: will({ willDelayInterval: 1000 }) };
      await (await connectPersistent("c", delayed)).break();
      await (await connect("c")).ping();
      assert.equal(text(await watcher.next("publish")), "gone");
      await (await connect("d", delayed)).break();
      assert.equal(text(await watcher.next("publish")), "gone");
      await (await connect("e", { ...delayed, properties: { sessionExpiryInterval: 5 } })).break();
      assert.deepEqual(await watcher.ping(), []);
      advance(6);
      assert.equal(text(await watcher.next("publish")), "gone");
    },
  },
  {
    title: "the properties of a will are passed on, user properties in their order",
    v5: ["3.1.3-10", "3.3.2-18"],
    run: async ({ connect, watch }) => {
      const watcher = await watch("will");
      const properties = {
        payloadFormatIndicator: 1 as const,
        messageExpiryInterval: 60,
        contentType: "c",
        responseTopic: "r",
        correlationData: Buffer.from("d"),
        userProperties: [
          ["b", "1"],
          ["a", "2"],
          ["b", "1"],
        ] as [string, string][],
      };
      await (await connect("c", { will: will(properties) })).break();
      assert.deepEqual((await watcher.next("publish")).properties, properties);
    },
  },
  {
    title: "a takeover publishes the will of the connection that ends, unless a will delay waits for the session",
    v4: ["3.1.2-8"],
    v5: ["3.1.2-8"],
    run: async ({ connect, connectPersistent, watch }) => {
      const watcher = await watch("will");
      await connect("c", { will: will() });
      await connect("c");
      assert.equal(text(await watcher.next("publish")), "gone");
      await connectPersistent("d", { will: will() });
      await connectPersistent("d");
      assert.equal(text(await watcher.next("publish")), "gone");
    },
  },
  {
    title: "will delay: a takeover with Clean Start ends the session, so the will is published",
    v5: ["3.1.2-8", "3.1.2-4"],
    run: async ({ connect, connectPersistent, watch }) => {
      const watcher = await watch("will");
      await connectPersistent("c", { will: will({ willDelayInterval: 1000 }) });
      await connect("c");
      assert.equal(text(await watcher.next("publish")), "gone");
      assert.deepEqual(await watcher.ping(), []);
    },
  },
  {
    title: "a Will Topic that nobody may publish to is refused",
    v4: ["3.1.4-1", "4.7.1-1"],
    v5: ["3.1.4-1", "4.7.0-1"],
    run: async ({ open, version, isV5 }) => {
      for (const topic of ["a/#", "+", ""]) {
        const client = await open();
        client.send({
          type: "connect",
          version,
          cleanStart: true,
          keepAlive: 0,
          clientId: "c",
          will: will({}, { topic }),
        });
        if (isV5) assert.equal((await client.next("connack")).reasonCode, ReasonCode.TopicNameInvalid);
        await client.closed();
        assert.deepEqual(client.waiting, []);
      }
    },
  },
  {
    title: "a Will Topic of 65,535 bytes is published, and one of too many levels is refused",
    v4: ["4.7.3-3"],
    v5: ["4.7.3-3", "3.2.2-7"],
    run: async ({ connect, watch, isV5 }) => {
      const topic = "w".repeat(65_535);
      const watcher = await watch("#");
      await (await connect("c", { will: will(undefined, { topic }) })).break();
      assert.equal((await watcher.next("publish")).topic, topic);
      const refused = await connect("d", { will: will(undefined, { topic: "/".repeat(65_535) }) });
      assert.equal(refused.connack?.reasonCode, isV5 ? ReasonCode.TopicNameInvalid : 3);
      await refused.closed();
      assert.deepEqual(await watcher.ping(), []);
    },
  },
  {
    title: "will delay: a client that is back too late does not keep the will from being published",
    v5: ["3.1.2-8"],
    run: async ({ connectPersistent, watch, advance }) => {
      const watcher = await watch("will");
      await (await connectPersistent("c", { will: will({ willDelayInterval: 10 }) })).break();
      await watcher.ping();
      advance(11);
      const again = await connectPersistent("c");
      await again.ping();
      assert.equal(text(await watcher.next("publish")), "gone");
    },
  },
];
