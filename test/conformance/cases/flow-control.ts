// Receive Maximum and Maximum Packet Size, in both directions (MQTT 5, 3.1.2.11.3, 3.1.2.11.4, 4.9).

import assert from "node:assert/strict";
import { encodePacket } from "../../../src/mqtt/codec/encoder.ts";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import { text } from "../../broker/raw-client.ts";
import { permanentRefusal } from "../../broker/scripted-hooks.ts";
import type { ConformanceCase } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "no more than Receive Maximum messages are unacknowledged, and a PUBACK makes room for one",
    v5: ["3.3.4-9", "4.9.0-1", "4.9.0-2"],
    run: async ({ connect }) => {
      const client = await connect("c", { properties: { receiveMaximum: 2 } });
      await client.subscribe("t", { qos: 1 });
      const publisher = await connect("p");
      for (const payload of ["1", "2", "3", "4"]) await publisher.publishAcked("t", payload);
      const first = await client.next("publish");
      await client.next("publish");
      assert.deepEqual(await client.ping(), []);
      client.puback(first.packetId);
      assert.equal(text(await client.next("publish")), "3");
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "of a QoS 2 message, PUBCOMP makes room and PUBREC does not, unless it refuses the message",
    v5: ["3.3.4-9", "4.9.0-2"],
    run: async ({ connect }) => {
      const client = await connect("c", { properties: { receiveMaximum: 1 } });
      await client.subscribe("t", { qos: 2 });
      const publisher = await connect("p");
      for (const payload of ["1", "2", "3"]) publisher.publish("t", { qos: 2, payload });
      await publisher.ping();
      const { packetId = 0 } = await client.next("publish");
      client.send({ type: "pubrec", packetId, reasonCode: 0 });
      await client.next("pubrel");
      assert.deepEqual(await client.ping(), []);
      client.send({ type: "pubcomp", packetId, reasonCode: 0 });
      const second = await client.next("publish");
      assert.equal(text(second), "2");
      client.send({ type: "pubrec", packetId: second.packetId as number, reasonCode: ReasonCode.UnspecifiedError });
      assert.equal(text(await client.next("publish")), "3");
    },
  },
  {
    title: "with no room left, QoS 0 messages and all other packets are still exchanged",
    v5: ["3.3.4-10", "4.9.0-3"],
    run: async ({ connect }) => {
      const client = await connect("c", { properties: { receiveMaximum: 1 } });
      await client.subscribe("t", { qos: 1 });
      const publisher = await connect("p");
      await publisher.publishAcked("t", "1");
      await publisher.publishAcked("t", "2");
      await client.next("publish");
      publisher.publish("t", { qos: 0, payload: "3" });
      assert.equal(text(await client.next("publish")), "3");
      assert.equal(await client.subscribe("u"), 1);
      assert.equal(await client.unsubscribe("u"), 0);
      assert.equal(await client.publishAcked("v"), ReasonCode.NoMatchingSubscribers);
      client.publish("v", { qos: 2 });
      const { packetId } = await client.next("pubrec");
      client.send({ type: "pubrel", packetId, reasonCode: 0 });
      await client.next("pubcomp");
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "a client that exceeds the server's Receive Maximum is disconnected with 0x93",
    v5: ["4.13.1-1", "4.13.2-1"],
    options: { receiveMaximum: 2 },
    run: async ({ connect, ended }) => {
      const client = await connect("c");
      assert.equal(client.connack?.properties?.receiveMaximum, 2);
      for (let count = 0; count < 3; count++) client.publish("t", { qos: 2 });
      await client.next("pubrec");
      await client.next("pubrec");
      await ended(client, ReasonCode.ReceiveMaximumExceeded);
    },
  },
  {
    title: "a message above the Maximum Packet Size is dropped for that client alone",
    v5: ["3.1.2-24", "3.1.2-25"],
    run: async ({ connect }) => {
      const small = await connect("small", { properties: { maximumPacketSize: 40 } });
      const large = await connect("large");
      for (const client of [small, large]) await client.subscribe("t");
      const publisher = await connect("p");
      const payload = "x".repeat(40);
      await publisher.publishAcked("t", payload);
      await publisher.publishAcked("t", "y");
      assert.deepEqual(await large.nextPayloads(2), [payload, "y"]);
      const packet = await small.next("publish");
      assert.equal(text(packet), "y");
      assert.deepEqual(await small.ping(), []);
    },
  },
  {
    title: "a message of exactly the Maximum Packet Size is sent, a byte more is not, with Topic Aliases too",
    v5: ["3.1.2-24", "3.1.2-25", "3.1.2-26"],
    run: async ({ connect }) => {
      const publisher = await connect("p");
      for (const { topic, topicAliasMaximum, properties } of [
        { topic: "t", topicAliasMaximum: 0, properties: undefined },
        { topic: "t", topicAliasMaximum: 9, properties: undefined },
        { topic: "a/longer/topic", topicAliasMaximum: 9, properties: undefined },
        // A Topic Alias would make their length take one byte more.
        { topic: "t", topicAliasMaximum: 9, properties: { contentType: "c".repeat(122) } },
      ]) {
        const maximumPacketSize = 200;
        const client = await connect("c", { properties: { maximumPacketSize, topicAliasMaximum } });
        await client.subscribe(topic, { qos: 1 });
        const sizeOf = (length: number): number =>
          encodePacket(client.publishPacket(topic, { payload: "x".repeat(length), properties }), 5).length;
        let largest = 0;
        while (sizeOf(largest + 1) <= maximumPacketSize) largest += 1;
        // Each as the first message, which sets the alias, and as a later one, which may use it.
        for (const length of [largest, largest + 1, largest - 1, 0, largest, largest + 1]) {
          await publisher.publishAcked(topic, "x".repeat(length), { properties });
          const received = await client.ping();
          assert.equal(received.length, length > largest ? 0 : 1, `${length} of ${largest}`);
          for (const packet of received) {
            assert.ok(packet.type === "publish" && packet.payload.length === length);
            assert.ok(encodePacket(packet, 5).length <= maximumPacketSize);
            client.puback(packet.packetId);
          }
        }
        await client.disconnect();
      }
    },
  },
  {
    title: "a packet above the server's Maximum Packet Size ends the connection with 0x95",
    v5: ["4.13.1-1"],
    options: { maxPacketSize: 64 },
    run: async ({ connect, ended }) => {
      const client = await connect("c");
      assert.equal(client.connack?.properties?.maximumPacketSize, 64);
      client.publish("t", { payload: "x".repeat(64) });
      await ended(client, ReasonCode.PacketTooLarge);
    },
  },
  {
    title:
      "PUBACK and PUBREC leave out a Reason String that would exceed the Maximum Packet Size, and cut one that is long",
    v5: ["3.4.2-2", "3.5.2-2"],
    hooked: true,
    run: async ({ connect, fixture }) => {
      fixture.hooks.answer = () => ({ ...permanentRefusal, reasonString: "ü".repeat(70_000) });
      const client = await connect("c");
      client.publish("t", { qos: 1 });
      assert.equal((await client.next("puback")).properties?.reasonString, "ü".repeat(500));
      fixture.hooks.answer = () => ({ ...permanentRefusal, reasonString: "x".repeat(50) });
      const small = await connect("small", { properties: { maximumPacketSize: 40 } });
      const large = await connect("large");
      small.publish("t", { qos: 1 });
      assert.equal((await small.next("puback")).properties, undefined);
      small.publish("t", { qos: 2 });
      assert.equal((await small.next("pubrec")).properties, undefined);
      large.publish("t", { qos: 1 });
      assert.equal((await large.next("puback")).properties?.reasonString?.length, 50);
      large.publish("t", { qos: 2 });
      assert.equal((await large.next("pubrec")).properties?.reasonString?.length, 50);
    },
  },
  {
    title: "DISCONNECT leaves out a Reason String that would exceed the Maximum Packet Size",
    v5: ["3.14.2-3"],
    run: async ({ connect, ended }) => {
      const small = await connect("small", { properties: { maximumPacketSize: 30 } });
      small.send({ type: "auth", reasonCode: 0 });
      const disconnect = await small.next("disconnect");
      assert.equal(disconnect.properties, undefined);
      await small.closed();
      const large = await connect("large");
      large.send({ type: "auth", reasonCode: 0 });
      await ended(large, ReasonCode.ProtocolError);
    },
  },
  {
    title: "a CONNACK that refuses leaves out a Reason String that would exceed the Maximum Packet Size",
    v5: ["3.2.2-19"],
    run: async ({ connect }) => {
      const client = await connect("c", { properties: { maximumPacketSize: 20, authenticationMethod: "x" } });
      assert.equal(client.connack?.reasonCode, ReasonCode.BadAuthenticationMethod);
      assert.equal(client.connack.properties?.reasonString, undefined);
    },
  },
  {
    title: "no CONNACK or SUBACK exceeds the Maximum Packet Size either",
    v5: ["3.1.2-24"],
    run: async ({ open, connect }) => {
      const tiny = await open();
      const properties = { maximumPacketSize: 8 };
      tiny.send({ type: "connect", version: 5, cleanStart: true, keepAlive: 0, clientId: "tiny", properties });
      await tiny.closed();
      for (const packet of tiny.waiting) assert.ok(encodePacket(packet, 5).length <= 8, JSON.stringify(packet));
      const small = await connect("small", { properties: { maximumPacketSize: 30 } });
      small.sendSubscribe(Array.from({ length: 40 }, (_, at) => ({ topicFilter: `t/${at}` })));
      small.send({ type: "pingreq" });
      const answer = await small.next("disconnect");
      assert.equal(answer.reasonCode, ReasonCode.PacketTooLarge);
    },
  },
  {
    title: "without Request Problem Information, acknowledgements carry no Reason String",
    v5: ["3.1.2-29"],
    hooked: true,
    run: async ({ connect, fixture }) => {
      fixture.hooks.answer = () => ({ ...permanentRefusal, reasonString: "why" });
      const plain = await connect("plain", { properties: { requestProblemInformation: false } });
      plain.publish("t", { qos: 1 });
      assert.deepEqual((await plain.next("puback")).properties, undefined);
      plain.publish("t", { qos: 2 });
      assert.deepEqual((await plain.next("pubrec")).properties, undefined);
      const told = await connect("told", { properties: { requestProblemInformation: true } });
      told.publish("t", { qos: 1 });
      assert.deepEqual((await told.next("puback")).properties, { reasonString: "why" });
    },
  },
  {
    title: "a client that is back with a lower Receive Maximum is sent no more than that again",
    v5: ["3.3.4-9", "4.9.0-2"],
    run: async ({ connect, connectPersistent }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t", { qos: 2 });
      const publisher = await connect("p");
      const payloads = ["1", "2", "3", "4"];
      for (const payload of payloads) await publisher.publishAcked("t", payload);
      await client.nextPayloads(4);
      await client.break();
      await publisher.publishAcked("t", "5");
      const again = await connectPersistent("c", { properties: { receiveMaximum: 1 } });
      for (const payload of [...payloads, "5"]) {
        const packet = await again.next("publish");
        assert.equal(text(packet), payload);
        assert.deepEqual(await again.ping(), []);
        again.puback(packet.packetId);
      }
      assert.deepEqual(await again.ping(), []);
    },
  },
  {
    title: "a message above the Maximum Packet Size is done with: it takes no room and does not come back",
    v5: ["3.1.2-25"],
    run: async ({ connect, connectPersistent }) => {
      const limited = { properties: { maximumPacketSize: 40, receiveMaximum: 1 } };
      const client = await connectPersistent("c", limited);
      await client.subscribe("t");
      const publisher = await connect("p");
      for (const length of [50, 1, 60, 2]) await publisher.publishAcked("t", "x".repeat(length));
      for (const length of [1, 2]) {
        const packet = await client.next("publish");
        assert.equal(packet.payload.length, length);
        client.puback(packet.packetId);
      }
      await client.ping();
      await client.break();
      assert.deepEqual(await (await connectPersistent("c")).ping(), []);
    },
  },
  {
    title: "retained messages wait for room like others, and all of them come",
    v5: ["3.3.4-9", "3.3.1-9"],
    run: async ({ connect }) => {
      const publisher = await connect("p");
      const payloads = Array.from({ length: 30 }, (_, at) => String(at));
      for (const payload of payloads) await publisher.publishAcked(`t/${payload}`, payload, { retain: true });
      const client = await connect("c", { properties: { receiveMaximum: 2 } });
      await client.subscribe("t/+");
      const got: string[] = [];
      let last = await client.next("publish");
      got.push(text(last));
      while (got.length < payloads.length) {
        const packet = await client.next("publish");
        got.push(text(packet));
        assert.deepEqual(await client.ping(), []);
        client.puback(last.packetId);
        last = packet;
      }
      assert.deepEqual(got, payloads);
    },
  },
];
