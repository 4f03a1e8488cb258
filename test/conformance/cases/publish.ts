// PUBLISH: flags, topic aliases, and the properties that travel with a message (3.3).

import assert from "node:assert/strict";
import { encodePacket } from "../../../src/mqtt/codec/encoder.ts";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import { text } from "../../broker/raw-client.ts";
import { type ConformanceCase, hexPacket, hexText, sendHex } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "a QoS of 3, and DUP with QoS 0, end the connection",
    v4: ["3.3.1-4", "3.3.1-2", "4.8.0-1"],
    v5: ["3.3.1-4", "3.3.1-2", "4.13.1-1"],
    run: async ({ connect, ended, isV5 }) => {
      for (const firstByte of ["36", "3e", "38"]) {
        const client = await connect("c");
        sendHex(client, hexPacket(firstByte, hexText("t"), firstByte === "38" ? "" : "0001", isV5 ? "00" : ""));
        await ended(client, ReasonCode.MalformedPacket);
      }
    },
  },
  {
    title: "DUP is not passed on: a first delivery has DUP 0",
    v4: ["3.3.1-2", "3.3.1-3", "4.3.1-1", "4.3.2-1", "4.3.3-1"],
    v5: ["3.3.1-2", "3.3.1-3", "4.3.1-1", "4.3.2-2", "4.3.3-2"],
    run: async ({ connect, watch }) => {
      const watcher = await watch("t");
      const client = await connect("c");
      client.publish("t", { qos: 0 });
      client.publish("t", { qos: 1, dup: true });
      client.publish("t", { qos: 2, dup: true });
      for (const qos of [0, 1, 2]) {
        const packet = await watcher.next("publish");
        assert.deepEqual([packet.qos, packet.dup], [qos, false]);
      }
    },
  },
  {
    title: "a topic with wildcards, and an empty topic, end the connection",
    v4: ["3.3.2-2", "4.7.1-1", "4.7.3-1"],
    v5: ["3.3.2-2", "4.7.0-1", "4.7.3-1"],
    run: async ({ connect, ended, isV5 }) => {
      for (const topic of ["a/#", "+", "a/+/b", "#", "a#", "a+b"]) {
        const client = await connect("c");
        sendHex(client, hexPacket("30", hexText(topic), isV5 ? "00" : ""));
        await ended(client, ReasonCode.TopicNameInvalid);
      }
      const client = await connect("c");
      sendHex(client, hexPacket("30", "0000", isV5 ? "00" : ""));
      await ended(client, ReasonCode.ProtocolError);
    },
  },
  {
    title: "overlapping subscriptions: one copy, with the highest QoS",
    v4: ["3.3.5-1"],
    v5: ["3.3.4-2"],
    run: async ({ connect }) => {
      const client = await connect("c");
      for (const [topicFilter, qos] of [
        ["a/+", 0],
        ["a/b", 2],
        ["#", 1],
      ] as const) {
        await client.subscribe(topicFilter, { qos });
      }
      const publisher = await connect("p");
      await publisher.publishAcked("a/b", "1");
      publisher.publish("a/b", { qos: 2, payload: "2" });
      publisher.publish("a/c", { qos: 2, payload: "3" });
      await publisher.next("pubrec");
      await publisher.next("pubrec");
      const got: string[] = [];
      for (let count = 0; count < 3; count++) {
        const packet = await client.next("publish");
        got.push(`${text(packet)} ${packet.qos}`);
      }
      assert.deepEqual(got, ["1 1", "2 2", "3 1"]);
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "overlapping subscriptions: the copy carries the identifiers of all of them",
    v5: ["3.3.4-3", "3.3.4-4"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.subscribe("a/+", { qos: 1 }, 1);
      await client.subscribe("a/b", { qos: 0 }, 268_435_455);
      await client.subscribe("#", { qos: 1 });
      await client.subscribe("a/#", { qos: 1 }, 1);
      const publisher = await connect("p");
      await publisher.publishAcked("a/b");
      const { subscriptionIdentifiers } = (await client.next("publish")).properties ?? {};
      assert.deepEqual(new Set(subscriptionIdentifiers), new Set([1, 268_435_455]));
      await publisher.publishAcked("other");
      assert.equal((await client.next("publish")).properties, undefined);
    },
  },
  {
    title: "a Subscription Identifier goes with retained messages, and is replaced with its subscription",
    v5: ["3.3.4-3", "3.8.4-3"],
    run: async ({ connect }) => {
      const publisher = await connect("p");
      await publisher.publishAcked("t", "kept", { retain: true });
      const client = await connect("c");
      for (const identifier of [7, 8, undefined]) {
        await client.subscribe("t", { qos: 1 }, identifier);
        const expected = identifier === undefined ? undefined : [identifier];
        assert.deepEqual((await client.next("publish")).properties?.subscriptionIdentifiers, expected);
        await publisher.publishAcked("t", "live");
        assert.deepEqual((await client.next("publish")).properties?.subscriptionIdentifiers, expected);
      }
    },
  },
  {
    title: "a PUBLISH with a Subscription Identifier is a protocol error",
    v5: ["3.3.4-6"],
    run: async ({ connect, ended }) => {
      const client = await connect("c");
      sendHex(client, hexPacket("30", hexText("t"), "02 0b 01"));
      await ended(client, ReasonCode.ProtocolError);
    },
  },
  {
    title: "Topic Aliases up to the maximum that CONNACK told are taken, and may be set anew",
    v5: ["3.3.2-12"],
    run: async ({ connect, watch }) => {
      const watcher = await watch("#");
      const client = await connect("c");
      const maximum = client.connack?.properties?.topicAliasMaximum as number;
      assert.ok(maximum > 1);
      for (const topicAlias of [1, maximum]) {
        client.publish(`t/${topicAlias}`, { qos: 0, properties: { topicAlias } });
      }
      client.publish("", { qos: 0, properties: { topicAlias: maximum } });
      client.publish("", { qos: 0, properties: { topicAlias: 1 } });
      client.publish("u", { qos: 0, properties: { topicAlias: 1 } });
      client.publish("", { qos: 0, properties: { topicAlias: 1 } });
      const topics: string[] = [];
      for (let count = 0; count < 6; count++) {
        const { topic, properties } = await watcher.next("publish");
        assert.equal(properties, undefined);
        topics.push(topic);
      }
      assert.deepEqual(topics, ["t/1", `t/${maximum}`, `t/${maximum}`, "t/1", "u", "u"]);
    },
  },
  {
    title: "a Topic Alias of 0 or above the maximum is refused with 0x94, one that was never set with 0x82",
    v5: ["4.13.1-1"],
    options: { maxTopicAlias: 3 },
    run: async ({ connect, ended }) => {
      for (const topicAlias of [0, 4, 65_535]) {
        const client = await connect("c");
        client.publish("t", { qos: 0, properties: { topicAlias } });
        await ended(client, ReasonCode.TopicAliasInvalid);
      }
      const client = await connect("c");
      client.publish("", { qos: 0, properties: { topicAlias: 2 } });
      await ended(client, ReasonCode.ProtocolError);
    },
  },
  {
    title: "Topic Aliases are not carried over to the next connection, in neither direction",
    v5: ["3.3.2-7"],
    run: async ({ connectPersistent, connect, ended }) => {
      const properties = { topicAliasMaximum: 5 };
      const client = await connectPersistent("c", { properties });
      await client.subscribe("t", { qos: 0 });
      client.publish("t", { qos: 0, properties: { topicAlias: 1 } });
      assert.deepEqual([(await client.next("publish")).topic, client.isClosed], ["t", false]);
      await client.break();
      const again = await connectPersistent("c", { properties });
      const publisher = await connect("p");
      publisher.publish("t", { qos: 0 });
      assert.equal((await again.next("publish")).topic, "t");
      again.publish("", { qos: 0, properties: { topicAlias: 1 } });
      await ended(again, ReasonCode.ProtocolError);
    },
  },
  {
    title: "the server sends Topic Aliases up to the client's maximum, the topic with the first use",
    v5: ["3.1.2-26", "3.3.2-11", "3.3.2-8"],
    run: async ({ connect }) => {
      const client = await connect("c", { properties: { topicAliasMaximum: 2 } });
      await client.subscribe("#", { qos: 0 });
      const publisher = await connect("p");
      const known = new Map<number, string>();
      for (const topic of ["a", "b", "c", "a", "b", "c", "a"]) {
        publisher.publish(topic, { qos: 0 });
        const packet = await client.next("publish");
        const topicAlias = packet.properties?.topicAlias;
        if (topicAlias !== undefined) {
          assert.ok(topicAlias >= 1 && topicAlias <= 2);
          if (packet.topic !== "") known.set(topicAlias, packet.topic);
        }
        assert.equal(packet.topic || known.get(topicAlias as number), topic);
      }
    },
  },
  {
    title: "a client without Topic Alias Maximum gets no Topic Aliases",
    v5: ["3.1.2-27"],
    run: async ({ connect }) => {
      for (const topicAliasMaximum of [undefined, 0]) {
        const client = await connect("c", { properties: { topicAliasMaximum } });
        await client.subscribe("t");
        for (let count = 0; count < 3; count++) {
          client.publish("t", { qos: 0 });
          const { topic, properties } = await client.next("publish");
          assert.deepEqual([topic, properties], ["t", undefined]);
        }
      }
    },
  },
  {
    title:
      "payload format, content type, response topic, correlation data and user properties arrive as they were sent",
    v5: ["3.3.2-4", "3.3.2-15", "3.3.2-16", "3.3.2-17", "3.3.2-18", "3.3.2-20"],
    run: async ({ connect, watch }) => {
      const watcher = await watch("t");
      const client = await connect("c");
      const properties = {
        payloadFormatIndicator: 1 as const,
        contentType: "text/\ufefföäü",
        responseTopic: "answers/\u{1f600}",
        correlationData: Buffer.from([0, 1, 255, 0]),
        userProperties: [
          ["b", "1"],
          ["a", "2"],
          ["b", "1"],
          ["", ""],
          ["__proto__", "3"],
        ] as [string, string][],
      };
      for (const qos of [0, 1, 2] as const) {
        client.publish("t", { qos, properties });
        assert.deepEqual((await watcher.next("publish")).properties, properties);
      }
    },
  },
  {
    title: "properties survive a stay in the queue of a session, and as a retained message",
    v5: ["3.3.2-4", "3.3.2-15", "3.3.2-16", "3.3.2-17", "3.3.2-18", "3.3.2-20"],
    run: async ({ connect, connectPersistent }) => {
      const properties = {
        payloadFormatIndicator: 0 as const,
        contentType: "x",
        responseTopic: "r",
        correlationData: Buffer.from("c"),
        userProperties: [
          ["b", "1"],
          ["a", "2"],
          ["b", "1"],
        ] as [string, string][],
      };
      const away = await connectPersistent("away");
      await away.subscribe("t");
      await away.disconnect();
      await (await connect("p")).publishAcked("t", "x", { retain: true, properties });
      const back = await connectPersistent("away");
      assert.deepEqual((await back.next("publish")).properties, properties);
      const late = await connect("late");
      await late.subscribe("t");
      assert.deepEqual((await late.next("publish")).properties, properties);
    },
  },
  {
    title: "Response Topic and Content Type must be well-formed, and a Response Topic has no wildcards",
    v5: ["3.3.2-13", "3.3.2-14", "3.3.2-19"],
    run: async ({ connect, ended }) => {
      for (const { property, reasonCode } of [
        { property: "08 0002 c080", reasonCode: ReasonCode.MalformedPacket },
        { property: "03 0002 c080", reasonCode: ReasonCode.MalformedPacket },
        { property: `08 0003 ${Buffer.from("a/#").toString("hex")}`, reasonCode: ReasonCode.ProtocolError },
        { property: `08 0001 ${Buffer.from("+").toString("hex")}`, reasonCode: ReasonCode.ProtocolError },
      ]) {
        const client = await connect("c");
        const bytes = property.replaceAll(" ", "");
        const length = (bytes.length / 2).toString(16).padStart(2, "0");
        sendHex(client, hexPacket("30", hexText("t"), length, bytes));
        await ended(client, reasonCode);
      }
    },
  },
  {
    title: "message expiry: what is left of the interval is sent on",
    v5: ["3.3.2-6"],
    run: async ({ connect, connectPersistent, advance }) => {
      const away = await connectPersistent("away");
      await away.subscribe("t");
      await away.disconnect();
      const properties = { messageExpiryInterval: 100 };
      await (await connect("p")).publishAcked("t", "x", { retain: true, properties });
      advance(30);
      const back = await connectPersistent("away");
      assert.equal((await back.next("publish")).properties?.messageExpiryInterval, 70);
      const late = await connect("late");
      await late.subscribe("t");
      assert.equal((await late.next("publish")).properties?.messageExpiryInterval, 70);
    },
  },
  {
    title: "message expiry: a message whose time is over is not sent any more, neither queued nor retained",
    v5: ["3.3.2-5"],
    run: async ({ connect, connectPersistent, advance }) => {
      const away = await connectPersistent("away");
      await away.subscribe("#");
      await away.disconnect();
      const publisher = await connect("p");
      await publisher.publishAcked("t", "short", { retain: true, properties: { messageExpiryInterval: 10 } });
      await publisher.publishAcked("u", "long", { retain: true, properties: { messageExpiryInterval: 60 } });
      advance(11);
      const back = await connectPersistent("away");
      assert.equal(text(await back.next("publish")), "long");
      assert.deepEqual(await back.ping(), []);
      const late = await connect("late");
      await late.subscribe("#");
      assert.equal(text(await late.next("publish")), "long");
      assert.deepEqual(await late.ping(), []);
    },
  },
  {
    title: "a message that nobody may publish is refused: with a reason in MQTT 5, by the end of the connection before",
    v4: ["3.3.5-2", "4.8.0-2"],
    v5: ["3.4.2-1", "3.5.2-1"],
    hooked: true,
    run: async ({ connect, fixture, isV5 }) => {
      fixture.hooks.answer = () => ({
        temporary: true,
        delayClose: false,
        onUnstorable: "close",
        reasonCode: ReasonCode.NotAuthorized,
        reasonString: "no",
      });
      const client = await connect("c");
      client.publish("t", { qos: 1 });
      if (!isV5) {
        await client.closed();
        assert.deepEqual(client.waiting, []);
        return;
      }
      assert.equal((await client.next("puback")).reasonCode, ReasonCode.NotAuthorized);
      client.publish("t", { qos: 2 });
      assert.equal((await client.next("pubrec")).reasonCode, ReasonCode.NotAuthorized);
    },
  },
  {
    title: "the topic of a delivery is that of the message, which its subscription matches",
    v4: ["3.3.2-3"],
    v5: ["3.3.2-3"],
    run: async ({ connect, watch }) => {
      const watcher = await watch("a/+/c");
      const client = await connect("c");
      for (const topic of ["a/b/c", "a/b", "a//c", "a/b/c/d"]) client.publish(topic, { qos: 0 });
      await client.ping();
      const packets = await watcher.ping();
      assert.deepEqual(
        packets.map((packet) => (packet.type === "publish" ? packet.topic : packet.type)),
        ["a/b/c", "a//c"],
      );
    },
  },
  {
    title: "packets that split and join anywhere are read alike",
    v4: ["7.1.1-1"],
    v5: ["4.2.0-1"],
    run: async ({ connect, watch, version }) => {
      const watcher = await watch("t");
      const client = await connect("c");
      const packets = ["1", "2", "3"].map((payload) => client.publishPacket("t", { payload }));
      const bytes = Buffer.concat(packets.map((packet) => encodePacket(packet, version)));
      client.socket.write(bytes.subarray(0, 1));
      for (let at = 1; at < bytes.length; at++) {
        await new Promise<void>((resolve) => client.socket.write(bytes.subarray(at, at + 1), () => resolve()));
      }
      assert.deepEqual(await watcher.nextPayloads(3), ["1", "2", "3"]);
    },
  },
  {
    title: "Subscription Identifiers, No Local and Retain As Published are part of the session",
    v5: ["3.3.4-3", "3.8.3-3", "3.3.1-13", "3.1.2-5"],
    run: async ({ connect, connectPersistent }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t", { noLocal: true, retainAsPublished: true, qos: 1 }, 77);
      await client.disconnect();
      const again = await connectPersistent("c");
      await again.publishAcked("t", "own");
      await (await connect("p")).publishAcked("t", "x", { retain: true });
      const packet = await again.next("publish");
      assert.deepEqual([text(packet), packet.retain], ["x", true]);
      assert.deepEqual(packet.properties?.subscriptionIdentifiers, [77]);
    },
  },
  {
    title: "overlapping subscriptions: RETAIN goes on as it was sent where one of them asks for it",
    v5: ["3.3.1-13", "3.3.1-12"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.subscribe("t", { qos: 0 });
      await client.subscribe("#", { qos: 0, retainAsPublished: true });
      client.publish("t", { qos: 0, retain: true });
      assert.equal((await client.next("publish")).retain, true);
      client.publish("t", { qos: 0 });
      assert.equal((await client.next("publish")).retain, false);
    },
  },
];
