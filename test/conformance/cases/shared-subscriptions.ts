// Shared subscriptions (MQTT 5, 4.8.2).

import assert from "node:assert/strict";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import { text } from "../../broker/raw-client.ts";
import { type ConformanceCase, hexPacket, hexText, sendHex } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "share names that are missing or contain wildcards, and missing filters, are refused",
    v5: ["4.8.2-1", "4.8.2-2"],
    run: async ({ connect }) => {
      const client = await connect("c");
      for (const topicFilter of [
        "$share//t",
        "$share/g",
        "$share/g/",
        "$share/g+/t",
        "$share/#/t",
        "$share/g#/t",
        "$share/",
      ]) {
        assert.equal(await client.subscribe(topicFilter), ReasonCode.TopicFilterInvalid, topicFilter);
      }
      assert.equal(await client.subscribe("$share/g/a#"), ReasonCode.TopicFilterInvalid);
      for (const topicFilter of ["$share/g/t", "$share/g//", "$share/g/#", "$share/ü/+/x"]) {
        assert.equal(await client.subscribe(topicFilter), 1, topicFilter);
      }
    },
  },
  {
    title: "No Local on a shared subscription is a protocol error",
    v5: ["3.8.3-4"],
    run: async ({ connect, ended }) => {
      const client = await connect("c");
      sendHex(client, hexPacket("82", "0001", "00", hexText("$share/g/t"), "05"));
      await ended(client, ReasonCode.ProtocolError);
    },
  },
  {
    title: "each message goes to one member of each group, in fair turns, and to every other subscription",
    v5: ["4.8.2-1", "4.5.0-1"],
    run: async ({ connect }) => {
      const members = [await connect("1"), await connect("2"), await connect("3")];
      for (const member of members) await member.subscribe("$share/g/t", { qos: 0 });
      const other = await connect("other");
      await other.subscribe("$share/h/+", { qos: 0 });
      const plain = await connect("plain");
      await plain.subscribe("t", { qos: 0 });
      const publisher = await connect("p");
      for (let count = 0; count < 9; count++) publisher.publish("t", { qos: 0, payload: String(count) });
      await publisher.ping();
      const counts = [];
      for (const member of [...members, other, plain]) counts.push((await member.ping()).length);
      assert.deepEqual(counts, [3, 3, 3, 9, 9]);
    },
  },
  {
    title: "each member gets messages with the QoS that it was granted",
    v5: ["4.8.2-3"],
    run: async ({ connect }) => {
      const members = [await connect("0"), await connect("1"), await connect("2")];
      for (const [qos, member] of members.entries()) {
        await member.subscribe("$share/g/t", { qos: qos as 0 | 1 | 2 }, qos + 1);
      }
      const publisher = await connect("p");
      for (let count = 0; count < 3; count++) publisher.publish("t", { qos: 2 });
      for (const [qos, member] of members.entries()) {
        const packet = await member.next("publish");
        assert.deepEqual([packet.qos, packet.properties?.subscriptionIdentifiers], [qos, [qos + 1]]);
      }
    },
  },
  {
    title: "a QoS 2 message in flight is completed to its member when that is back, and goes to nobody else",
    v5: ["4.8.2-4"],
    run: async ({ connect, connectPersistent }) => {
      const client = await connectPersistent("c");
      await client.subscribe("$share/g/t", { qos: 2 });
      const publisher = await connect("p");
      publisher.publish("t", { qos: 2, payload: "x" });
      const { packetId } = await client.next("publish");
      const other = await connect("other");
      await other.subscribe("$share/g/t", { qos: 2 });
      await client.break();
      assert.deepEqual(await other.ping(), []);
      const again = await connectPersistent("c");
      const resent = await again.next("publish");
      assert.deepEqual([text(resent), resent.packetId, resent.dup], ["x", packetId, true]);
      assert.deepEqual(await other.ping(), []);
    },
  },
  {
    title: "a QoS 2 message in flight goes to no other member when the session of its member ends",
    v5: ["4.8.2-5"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.subscribe("$share/g/t", { qos: 2 });
      const publisher = await connect("p");
      publisher.publish("t", { qos: 2, payload: "x" });
      await client.next("publish");
      const other = await connect("other");
      await other.subscribe("$share/g/t", { qos: 2 });
      await client.disconnect();
      assert.deepEqual(await other.ping(), []);
    },
  },
  {
    title: "a QoS 1 message that its member leaves unacknowledged for good goes to another member",
    v5: ["4.5.0-1"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.subscribe("$share/g/t", { qos: 1 });
      const publisher = await connect("p");
      await publisher.publishAcked("t", "x");
      await client.next("publish");
      const other = await connect("other");
      await other.subscribe("$share/g/t", { qos: 1 });
      await client.disconnect();
      assert.equal(text(await other.next("publish")), "x");
    },
  },
  {
    title: "a message that a member refuses with PUBACK or PUBREC goes to nobody else",
    v5: ["4.8.2-6", "4.4.0-2"],
    run: async ({ connect, connectPersistent }) => {
      const client = await connectPersistent("c");
      await client.subscribe("$share/g/t", { qos: 2 });
      const publisher = await connect("p");
      publisher.publish("t", { qos: 1 });
      publisher.publish("t", { qos: 2 });
      const reasonCode = ReasonCode.ImplementationSpecificError;
      client.send({ type: "puback", packetId: (await client.next("publish")).packetId as number, reasonCode });
      client.send({ type: "pubrec", packetId: (await client.next("publish")).packetId as number, reasonCode });
      assert.deepEqual(await client.ping(), []);
      const other = await connect("other");
      await other.subscribe("$share/g/t", { qos: 2 });
      await client.disconnect();
      assert.deepEqual(await other.ping(), []);
      assert.deepEqual(await (await connectPersistent("c")).ping(), []);
    },
  },
  {
    title: "retained messages are not sent for a shared subscription",
    v5: ["4.8.2-2"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.publishAcked("t", "kept", { retain: true });
      assert.equal(await client.subscribe("$share/g/t"), 1);
      assert.deepEqual(await client.ping(), []);
    },
  },
];
