// SUBSCRIBE and SUBACK (3.8, 3.9).

import assert from "node:assert/strict";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import { text } from "../../broker/raw-client.ts";
import { type ConformanceCase, hexPacket, hexText, sendHex } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "SUBACK has the Packet Identifier of SUBSCRIBE, and comes once",
    v4: ["3.8.4-1", "3.8.4-2", "2.3.1-7"],
    v5: ["3.8.4-1", "3.8.4-2", "2.2.1-6"],
    run: async ({ connect, isV5 }) => {
      const client = await connect("c");
      sendHex(client, hexPacket("82", "abcd", isV5 ? "00" : "", hexText("t"), "01"));
      assert.equal((await client.next("suback")).packetId, 0xabcd);
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "several filters in one SUBSCRIBE: one SUBACK with a code for each, in their order",
    v4: ["3.8.4-4", "3.8.4-5", "3.9.3-1", "3.9.3-2"],
    v5: ["3.8.4-5", "3.8.4-6", "3.8.4-7", "3.9.3-1", "3.9.3-2"],
    run: async ({ connect, isV5 }) => {
      const client = await connect("c");
      client.sendSubscribe([
        { topicFilter: "a", qos: 2 },
        { topicFilter: "a/#/b", qos: 1 },
        { topicFilter: "b", qos: 0 },
        { topicFilter: "c", qos: 1 },
      ]);
      const failure = isV5 ? ReasonCode.TopicFilterInvalid : 0x80;
      assert.deepEqual((await client.next("suback")).reasonCodes, [2, failure, 0, 1]);
      for (const topic of ["a", "b", "c"]) {
        client.publish(topic, { qos: 0 });
        assert.equal((await client.next("publish")).topic, topic);
      }
    },
  },
  {
    title: "the same filter twice in one SUBSCRIBE counts as two SUBSCRIBEs: the last options hold",
    v4: ["3.8.4-4", "3.8.4-3"],
    v5: ["3.8.4-5", "3.8.4-3"],
    run: async ({ connect }) => {
      const client = await connect("c");
      client.sendSubscribe([
        { topicFilter: "t", qos: 2 },
        { topicFilter: "t", qos: 0 },
      ]);
      assert.deepEqual((await client.next("suback")).reasonCodes, [2, 0]);
      client.publish("t", { qos: 1, payload: "x" });
      assert.equal((await client.next("publish")).qos, 0);
      await client.next("puback");
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "a message goes out with the lower of its QoS and the QoS that was granted",
    v4: ["3.8.4-6"],
    v5: ["3.8.4-8"],
    run: async ({ connect }) => {
      const publisher = await connect("p");
      for (const granted of [0, 1, 2] as const) {
        const client = await connect("c");
        await client.subscribe("t", { qos: granted });
        for (const qos of [0, 1, 2] as const) {
          publisher.publish("t", { qos });
          assert.equal((await client.next("publish")).qos, Math.min(qos, granted));
        }
      }
    },
  },
  {
    title: "a filter that is subscribed to again replaces the subscription, and retained messages come again",
    v4: ["3.8.4-3", "3.3.1-6"],
    v5: ["3.8.4-3", "3.8.4-4", "3.3.1-9"],
    run: async ({ connect }) => {
      const publisher = await connect("p");
      await publisher.publishAcked("t", "kept", { retain: true });
      const client = await connect("c");
      for (const qos of [0, 1] as const) {
        assert.equal(await client.subscribe("t", { qos }), qos);
        const packet = await client.next("publish");
        assert.deepEqual([text(packet), packet.qos, packet.retain], ["kept", qos, true]);
      }
      await publisher.publishAcked("t", "live");
      const packet = await client.next("publish");
      assert.deepEqual([text(packet), packet.qos], ["live", 1]);
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "nothing is lost while a subscription is replaced",
    v4: ["3.8.4-3"],
    v5: ["3.8.4-4"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.subscribe("t", { qos: 1 });
      const publisher = await connect("p");
      const payloads: string[] = [];
      for (let count = 0; count < 20; count++) {
        payloads.push(String(count));
        publisher.publish("t", { qos: 1, payload: String(count) });
        client.sendSubscribe([{ topicFilter: "t", qos: 1 }]);
      }
      const got: string[] = [];
      for (let subacks = 0; got.length < 20 || subacks < 20; ) {
        const packet = client.waiting.shift();
        if (packet === undefined) client.waiting.unshift(...(await client.ping()));
        else if (packet.type === "suback") subacks += 1;
        else if (packet.type === "publish") {
          got.push(text(packet));
          client.puback(packet.packetId);
        }
      }
      assert.deepEqual(got, payloads);
    },
  },
  {
    title: "a SUBSCRIBE without a filter is refused",
    v4: ["3.8.3-3", "4.8.0-1"],
    v5: ["3.8.3-2", "4.13.1-1"],
    run: async ({ connect, ended, isV5 }) => {
      const client = await connect("c");
      sendHex(client, hexPacket("82", "0001", isV5 ? "00" : ""));
      await ended(client, ReasonCode.ProtocolError);
    },
  },
  {
    title: "a filter that is not well-formed UTF-8 ends the connection",
    v4: ["3.8.3-1"],
    v5: ["3.8.3-1"],
    run: async ({ connect, ended, isV5 }) => {
      const client = await connect("c");
      sendHex(client, hexPacket("82", "0001", isV5 ? "00" : "", "0002c080", "00"));
      await ended(client, ReasonCode.MalformedPacket);
    },
  },
  {
    title: "reserved bits of the options, and a QoS or Retain Handling of 3, end the connection",
    v4: ["3.8.3-4", "4.8.0-1"],
    v5: ["3.8.3-5", "4.13.1-1"],
    not31: "the reserved bits mean nothing, and are passed over",
    run: async ({ connect, ended, isV5 }) => {
      const { MalformedPacket, ProtocolError } = ReasonCode;
      const refused = isV5
        ? [
            ["40", MalformedPacket],
            ["80", MalformedPacket],
            ["03", ProtocolError],
            ["30", ProtocolError],
          ]
        : [
            ["04", 0],
            ["08", 0],
            ["10", 0],
            ["20", 0],
            ["40", 0],
            ["80", 0],
            ["03", 0],
          ];
      for (const [options, reasonCode] of refused as [string, ReasonCode][]) {
        const client = await connect("c");
        sendHex(client, hexPacket("82", "0001", isV5 ? "00" : "", hexText("t"), options));
        await ended(client, reasonCode);
      }
    },
  },
  {
    title: "filters with wildcards are supported",
    v4: ["3.8.3-2"],
    v5: ["3.9.3-2"],
    run: async ({ connect }) => {
      const client = await connect("c");
      for (const topicFilter of ["#", "+", "a/#", "+/a/+", "/", "a//b"]) {
        assert.equal(await client.subscribe(topicFilter, { qos: 1 }), 1);
      }
    },
  },
  {
    title: "No Local: a client does not get its own messages, and others do",
    v5: ["3.8.3-3"],
    run: async ({ connect, connectPersistent }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t", { noLocal: true });
      const other = await connect("other");
      await other.subscribe("t");
      await client.publishAcked("t", "own", { retain: true });
      assert.equal(text(await other.next("publish")), "own");
      assert.deepEqual(await client.ping(), []);
      other.publish("t", { qos: 0, payload: "from other" });
      assert.equal(text(await client.next("publish")), "from other");
      await client.disconnect();
      const again = await connectPersistent("c");
      await again.publishAcked("t", "own again");
      assert.deepEqual(await again.ping(), []);
    },
  },
  {
    title: "No Local: another subscription of the same client without it still gets the message",
    v5: ["3.8.3-3"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.subscribe("t", { noLocal: true, qos: 0 }, 1);
      await client.subscribe("#", { qos: 0 }, 2);
      client.publish("t", { qos: 0 });
      assert.deepEqual((await client.next("publish")).properties?.subscriptionIdentifiers, [2]);
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "No Local counts for retained messages too",
    v5: ["3.8.3-3"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.publishAcked("t", "own", { retain: true });
      await client.subscribe("t", { noLocal: true });
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "a Subscription Identifier of 0, or two of them, are a protocol error",
    v5: ["4.13.1-1"],
    run: async ({ connect, ended }) => {
      for (const properties of ["02 0b00", "04 0b01 0b02"]) {
        const client = await connect("c");
        sendHex(client, hexPacket("82", "0001", properties, hexText("t"), "00"));
        await ended(client, ReasonCode.ProtocolError);
      }
    },
  },
  {
    title: "too many subscriptions are refused with a code that SUBACK may carry",
    v4: ["3.8.4-5", "3.9.3-2"],
    v5: ["3.8.4-7", "3.9.3-2"],
    options: { maxSubscriptions: 1 },
    run: async ({ connect, isV5 }) => {
      const client = await connect("c");
      await client.subscribe("a");
      assert.equal(await client.subscribe("b"), isV5 ? ReasonCode.QuotaExceeded : 0x80);
      assert.equal(await client.subscribe("a", { qos: 2 }), 2);
    },
  },
  {
    title: "the same filter twice in one SUBSCRIBE: retained messages come for each as its own options say",
    v5: ["3.8.4-5", "3.3.1-9", "3.3.1-10", "3.3.1-11"],
    run: async ({ connect }) => {
      const publisher = await connect("p");
      await publisher.publishAcked("t", "x", { retain: true });
      for (const { handling, expected } of [
        { handling: [2, 0], expected: [0] },
        { handling: [0, 2], expected: [1] },
        { handling: [1, 1], expected: [1] },
        { handling: [0, 0], expected: [1, 0] },
        { handling: [2, 1], expected: [] },
      ] as const) {
        const client = await connect("c");
        client.sendSubscribe(
          handling.map((retainHandling, at) => ({ topicFilter: "t", retainHandling, qos: at === 0 ? 1 : 0 })),
        );
        await client.next("suback");
        const packets = await client.ping();
        assert.deepEqual(
          packets.map((packet) => (packet.type === "publish" ? packet.qos : packet.type)),
          expected,
          handling.join(),
        );
      }
    },
  },
  {
    title: "user properties are taken in SUBSCRIBE and UNSUBSCRIBE, and must be well-formed there too",
    v5: ["1.5.7-1"],
    run: async ({ connect, ended }) => {
      const client = await connect("c");
      const userProperties = [
        ["b", "1"],
        ["a", "2"],
        ["b", "1"],
      ] as [string, string][];
      client.send({
        type: "subscribe",
        packetId: 1,
        subscriptions: [{ topicFilter: "t", qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
        properties: { userProperties },
      });
      await client.next("suback");
      client.send({ type: "unsubscribe", packetId: 2, topicFilters: ["t"], properties: { userProperties } });
      assert.deepEqual((await client.next("unsuback")).reasonCodes, [0]);
      sendHex(client, hexPacket("82", "0001", "07 26 0001ff 000161", hexText("t"), "00"));
      await ended(client, ReasonCode.MalformedPacket);
    },
  },
];
