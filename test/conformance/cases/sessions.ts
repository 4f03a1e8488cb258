// Session state, and what QoS 1 and 2 promise across connections (3.1.2.4, 4.1 to 4.6).

import assert from "node:assert/strict";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import { text } from "../../broker/raw-client.ts";
import { waitFor } from "../../support/wait-for.ts";
import type { ConformanceCase } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "a session is resumed with its subscriptions and what was queued, and CONNACK says so",
    v4: ["3.1.2-4", "3.1.2-5", "3.2.2-2", "3.2.2-3", "4.1.0-1", "4.5.0-1", "3.1.4-3"],
    v5: ["3.1.2-5", "3.1.2-6", "3.1.2-23", "3.2.2-3", "4.5.0-1", "3.1.4-4"],
    run: async ({ tellsSessionPresent, connect, connectPersistent }) => {
      const client = await connectPersistent("c");
      assert.equal(client.connack?.sessionPresent, false);
      await client.subscribe("t", { qos: 2 });
      await client.disconnect();
      const publisher = await connect("p");
      await publisher.publishAcked("t", "1");
      publisher.publish("t", { qos: 2, payload: "2" });
      await publisher.next("pubrec");
      const again = await connectPersistent("c");
      assert.equal(again.connack?.sessionPresent, tellsSessionPresent);
      assert.deepEqual(await again.nextPayloads(2), ["1", "2"]);
      await publisher.publishAcked("t", "3");
      assert.deepEqual(await again.nextPayloads(1), ["3"]);
    },
  },
  {
    title: "Clean Start discards the session: subscriptions, what was queued and what was in flight",
    v4: ["3.1.2-6", "3.2.2-1", "3.1.4-3"],
    v5: ["3.1.2-4", "3.2.2-2", "3.1.4-4"],
    run: async ({ connect, connectPersistent }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t", { qos: 1 });
      const publisher = await connect("p");
      await publisher.publishAcked("t", "in flight");
      await client.next("publish");
      await client.disconnect();
      await publisher.publishAcked("t", "queued");
      const clean = await connect("c");
      assert.equal(clean.connack?.sessionPresent, false);
      await publisher.publishAcked("t", "live");
      assert.deepEqual(await clean.ping(), []);
      await clean.disconnect();
      assert.equal((await connectPersistent("c")).connack?.sessionPresent, false);
    },
  },
  {
    title: "a session lasts as long as its connection, however long that is",
    v4: ["4.1.0-2"],
    v5: ["4.1.0-1"],
    run: async ({ connect, advance }) => {
      const client = await connect("c");
      await client.subscribe("t", { qos: 0 });
      advance(10_000_000);
      const short = await connect("short", { keepAlive: 1 });
      advance(3);
      await short.closed();
      client.publish("t", { qos: 0, payload: "x" });
      assert.deepEqual(await client.nextPayloads(1), ["x"]);
    },
  },
  {
    title: "a session ends with its connection when it has no Session Expiry Interval or Clean Session is 1",
    v4: ["3.1.2-6"],
    v5: ["4.1.0-2"],
    run: async ({ connect, connectPersistent, isV5 }) => {
      const client = await connect("c", isV5 ? { cleanStart: false } : {});
      await client.subscribe("t");
      await client.disconnect();
      const again = await connectPersistent("c");
      assert.equal(again.connack?.sessionPresent, false);
      await again.publishAcked("t");
      assert.deepEqual(await again.ping(), []);
    },
  },
  {
    title: "Session Expiry Interval: the session is kept until it has passed, and then discarded",
    v5: ["3.1.2-23", "4.1.0-2"],
    run: async ({ connect, fixture, advance }) => {
      const options = { cleanStart: false, properties: { sessionExpiryInterval: 100 } };
      const client = await connect("c", options);
      await client.subscribe("t");
      await client.disconnect();
      advance(95);
      const again = await connect("c", options);
      assert.equal(again.connack?.sessionPresent, true);
      await again.disconnect();
      advance(101);
      await waitFor(() => fixture.broker.metrics.sessions === 0, { what: "the session to end" });
      assert.equal((await connect("c", options)).connack?.sessionPresent, false);
    },
  },
  {
    title: "a session whose time has passed is not resumed, although nobody has removed it yet",
    v5: ["4.1.0-2"],
    run: async ({ connect, advance }) => {
      const options = { cleanStart: false, properties: { sessionExpiryInterval: 100 } };
      await (await connect("c", options)).disconnect();
      advance(101);
      assert.equal((await connect("c", options)).connack?.sessionPresent, false);
    },
  },
  {
    title:
      "a message that was not acknowledged is sent again with DUP and its Packet Identifier, after a reconnect only",
    v4: ["3.3.1-1", "4.4.0-1", "4.3.2-1", "2.3.1-4"],
    v5: ["3.3.1-1", "4.4.0-1", "4.3.2-3"],
    run: async ({ connect, connectPersistent, advance }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t", { qos: 2 });
      const publisher = await connect("p");
      for (const qos of [1, 2] as const) publisher.publish("t", { qos });
      const first = await client.next("publish");
      const second = await client.next("publish");
      assert.deepEqual([first.dup, second.dup], [false, false]);
      advance(1000);
      assert.deepEqual(await client.ping(), []);
      await client.break();
      const again = await connectPersistent("c");
      for (const { qos, packetId } of [first, second]) {
        const resent = await again.next("publish");
        assert.deepEqual([resent.qos, resent.packetId, resent.dup], [qos, packetId, true]);
      }
      again.puback(first.packetId);
      await again.break();
      const third = await connectPersistent("c");
      assert.equal((await third.next("publish")).packetId, second.packetId);
      assert.deepEqual(await third.ping(), []);
    },
  },
  {
    title: "after PUBREC it is PUBREL that is sent again, never PUBLISH",
    v4: ["4.4.0-1", "4.3.3-1", "2.3.1-6"],
    v5: ["4.4.0-1", "4.3.3-3", "4.3.3-4", "4.3.3-5", "4.3.3-6"],
    run: async ({ connect, connectPersistent }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t", { qos: 2 });
      const publisher = await connect("p");
      publisher.publish("t", { qos: 2 });
      const { packetId = 0 } = await client.next("publish");
      client.send({ type: "pubrec", packetId, reasonCode: 0 });
      assert.equal((await client.next("pubrel")).packetId, packetId);
      await client.break();
      const again = await connectPersistent("c");
      assert.equal((await again.next("pubrel")).packetId, packetId);
      again.send({ type: "pubrec", packetId, reasonCode: 0 });
      assert.equal((await again.next("pubrel")).packetId, packetId);
      again.send({ type: "pubcomp", packetId, reasonCode: 0 });
      await again.ping();
      await again.break();
      assert.deepEqual(await (await connectPersistent("c")).ping(), []);
    },
  },
  {
    title: "what is sent again comes in the order of its first sending, before anything new",
    v4: ["4.6.0-1", "4.4.0-1"],
    v5: ["4.4.0-1", "4.6.0-5"],
    run: async ({ connect, connectPersistent }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t", { qos: 2 });
      const publisher = await connect("p");
      const payloads = ["1", "2", "3", "4", "5", "6"];
      for (const [at, payload] of payloads.slice(0, 4).entries())
        publisher.publish("t", { qos: at % 2 ? 2 : 1, payload });
      await client.nextPayloads(4);
      await client.break();
      for (const payload of payloads.slice(4)) publisher.publish("t", { qos: 1, payload });
      await publisher.ping();
      assert.deepEqual(await (await connectPersistent("c")).nextPayloads(6), payloads);
    },
  },
  {
    title: "a message that the client refused with PUBACK or PUBREC is not sent again",
    v5: ["4.4.0-2"],
    run: async ({ connect, connectPersistent }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t", { qos: 2 });
      const publisher = await connect("p");
      for (const qos of [1, 2] as const) publisher.publish("t", { qos });
      const reasonCode = ReasonCode.UnspecifiedError;
      client.send({ type: "puback", packetId: (await client.next("publish")).packetId as number, reasonCode });
      client.send({ type: "pubrec", packetId: (await client.next("publish")).packetId as number, reasonCode });
      assert.deepEqual(await client.ping(), []);
      await client.break();
      assert.deepEqual(await (await connectPersistent("c")).ping(), []);
    },
  },
  {
    title: "a QoS 1 PUBLISH that repeats a Packet Identifier after its PUBACK is a new message, with DUP or without",
    v4: ["4.3.2-2"],
    v5: ["4.3.2-4", "4.3.2-5"],
    run: async ({ connect, watch }) => {
      const watcher = await watch("t");
      const client = await connect("c");
      for (const dup of [false, true, false]) {
        client.publish("t", { qos: 1, packetId: 5, dup });
        assert.equal((await client.next("puback")).packetId, 5);
      }
      assert.equal((await watcher.ping()).length, 3);
    },
  },
  {
    title: "a QoS 2 PUBLISH is delivered once until PUBREL, and its Packet Identifier is free after PUBCOMP",
    v4: ["4.3.3-2"],
    v5: ["4.3.3-8", "4.3.3-10", "4.3.3-11", "4.3.3-12"],
    run: async ({ connect, watch }) => {
      const watcher = await watch("t");
      const client = await connect("c");
      for (const dup of [false, true, false]) {
        client.publish("t", { qos: 2, packetId: 5, dup, payload: "1" });
        assert.equal((await client.next("pubrec")).packetId, 5);
      }
      client.send({ type: "pubrel", packetId: 5, reasonCode: 0 });
      assert.equal((await client.next("pubcomp")).packetId, 5);
      client.publish("t", { qos: 2, packetId: 5, dup: true, payload: "2" });
      await client.next("pubrec");
      const packets = await watcher.ping();
      assert.deepEqual(
        packets.map((packet) => (packet.type === "publish" ? text(packet) : packet.type)),
        ["1", "2"],
      );
    },
  },
  {
    title: "a QoS 2 PUBLISH is delivered once across reconnects of its publisher",
    v4: ["4.3.3-2", "4.1.0-1"],
    v5: ["4.3.3-10", "3.1.2-23"],
    run: async ({ connectPersistent, watch }) => {
      const watcher = await watch("t");
      const client = await connectPersistent("c");
      client.publish("t", { qos: 2, packetId: 5, payload: "1" });
      await client.next("pubrec");
      await client.break();
      const again = await connectPersistent("c");
      again.publish("t", { qos: 2, packetId: 5, dup: true, payload: "1" });
      await again.next("pubrec");
      await again.break();
      const third = await connectPersistent("c");
      third.send({ type: "pubrel", packetId: 5, reasonCode: 0 });
      assert.equal((await third.next("pubcomp")).reasonCode, 0);
      assert.equal((await watcher.ping()).length, 1);
    },
  },
  {
    title: "a new session does not take a Packet Identifier for one of the old session",
    v4: ["3.1.2-6"],
    v5: ["3.1.2-4"],
    run: async ({ connect, connectPersistent, watch }) => {
      const watcher = await watch("t");
      const client = await connectPersistent("c");
      client.publish("t", { qos: 2, packetId: 5, payload: "1" });
      await client.next("pubrec");
      await client.break();
      const clean = await connect("c");
      clean.publish("t", { qos: 2, packetId: 5, payload: "2" });
      await clean.next("pubrec");
      assert.equal((await watcher.ping()).length, 2);
    },
  },
  {
    title: "after a PUBREC that refuses, the same Packet Identifier is a new message",
    v5: ["4.3.3-9"],
    hooked: true,
    run: async ({ connect, fixture, watch }) => {
      const watcher = await watch("t");
      const client = await connect("c");
      const refusal = {
        temporary: true,
        delayClose: false,
        onUnstorable: "close" as const,
        reasonCode: ReasonCode.ImplementationSpecificError,
        reasonString: "not now",
      };
      fixture.hooks.answer = () => refusal;
      client.publish("t", { qos: 2, packetId: 5, payload: "1" });
      assert.equal((await client.next("pubrec")).reasonCode, ReasonCode.ImplementationSpecificError);
      fixture.hooks.answer = () => "stored";
      client.publish("t", { qos: 2, packetId: 5, payload: "2" });
      assert.equal((await client.next("pubrec")).reasonCode, 0);
      assert.equal(text(await watcher.next("publish")), "2");
    },
  },
  {
    title: "message expiry ends no delivery that has begun: it is sent again, and completed",
    v5: ["4.3.3-7", "4.3.3-13"],
    run: async ({ connect, connectPersistent, advance }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t", { qos: 2 });
      const publisher = await connect("p");
      publisher.publish("t", { qos: 2, properties: { messageExpiryInterval: 5 } });
      const { packetId = 0 } = await client.next("publish");
      const sent = await publisher.next("pubrec");
      advance(10);
      await client.break();
      const again = await connectPersistent("c");
      assert.equal((await again.next("publish")).packetId, packetId);
      again.send({ type: "pubrec", packetId, reasonCode: 0 });
      await again.next("pubrel");
      publisher.send({ type: "pubrel", packetId: sent.packetId, reasonCode: 0 });
      assert.equal((await publisher.next("pubcomp")).reasonCode, 0);
    },
  },
  {
    title: "messages of one publisher to one topic come in the order of their sending, through windows and queues",
    v4: ["4.6.0-5", "4.6.0-6"],
    v5: ["4.6.0-5", "4.6.0-6"],
    options: { maxInflight: 3 },
    run: async ({ connect, connectPersistent }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t", { qos: 1 });
      const publisher = await connect("p");
      const payloads = Array.from({ length: 60 }, (_, at) => String(at));
      const got: string[] = [];
      const take = async (from: typeof client, until: number): Promise<void> => {
        while (got.length < until) {
          const packet = await from.next("publish");
          if (!packet.dup) got.push(text(packet));
          from.puback(packet.packetId);
        }
      };
      for (const payload of payloads.slice(0, 20)) publisher.publish("t", { qos: 1, payload });
      await take(client, 20);
      await client.ping();
      await client.break();
      for (const payload of payloads.slice(20, 40)) publisher.publish("t", { qos: 1, payload });
      await publisher.ping();
      const again = await connectPersistent("c");
      for (const payload of payloads.slice(40)) publisher.publish("t", { qos: 1, payload });
      await take(again, 60);
      assert.deepEqual(got, payloads);
    },
  },
  {
    title: "a takeover hands the session over: what was in flight goes to the new connection",
    v4: ["3.1.4-2", "3.1.2-4", "4.4.0-1"],
    v5: ["3.1.4-3", "3.1.2-5", "4.4.0-1"],
    run: async ({ tellsSessionPresent, connect, connectPersistent, ended }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t");
      await (await connect("p")).publishAcked("t", "x");
      await client.next("publish");
      const again = await connectPersistent("c");
      assert.equal(again.connack?.sessionPresent, tellsSessionPresent);
      await ended(client, ReasonCode.SessionTakenOver);
      assert.equal((await again.next("publish")).dup, true);
    },
  },
  {
    title: "a session may be resumed with another version of MQTT, which gets what it can carry",
    v4: ["3.1.2-4", "3.2.2-2"],
    v5: ["3.1.2-5", "3.2.2-3"],
    run: async ({ tellsSessionPresent, connectPersistent, connect, version }) => {
      const other = version === 5 ? 4 : 5;
      const client = await connectPersistent("c", { version: other });
      await client.subscribe("t", { qos: 1 }, other === 5 ? 9 : undefined);
      await client.disconnect();
      const publisher = await connect("p", { version: 5 });
      const userProperties = [["a", "b"]] as [string, string][];
      await publisher.publishAcked("t", "x", { properties: { userProperties, messageExpiryInterval: 60 } });
      const again = await connectPersistent("c");
      assert.equal(again.connack?.sessionPresent, tellsSessionPresent);
      const packet = await again.next("publish");
      assert.equal(text(packet), "x");
      const expected = version < 5 ? undefined : { userProperties, messageExpiryInterval: 60 };
      assert.deepEqual(packet.properties, expected);
    },
  },
  {
    title: "CONNACK tells the Session Expiry Interval where it is not the one that was asked for",
    v5: ["3.1.2-23"],
    options: { maxSessionExpiryInterval: 100 },
    run: async ({ connect, fixture, advance }) => {
      for (const [asked, told] of [
        [50, undefined],
        [100, undefined],
        [101, 100],
        [0xffff_ffff, 100],
      ] as const) {
        const client = await connect("c", { properties: { sessionExpiryInterval: asked } });
        assert.equal(client.connack?.properties?.sessionExpiryInterval, told);
      }
      const client = await connect("c", { properties: { sessionExpiryInterval: 0xffff_ffff } });
      await client.disconnect();
      advance(101);
      await waitFor(() => fixture.broker.metrics.sessions === 0, { what: "the session to end" });
    },
  },
];
