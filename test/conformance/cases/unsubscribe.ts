// UNSUBSCRIBE and UNSUBACK (3.10, 3.11).

import assert from "node:assert/strict";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import { text } from "../../broker/raw-client.ts";
import { type ConformanceCase, hexPacket, hexText, sendHex } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "UNSUBACK has the Packet Identifier of UNSUBSCRIBE, also when nothing was subscribed",
    v4: ["3.10.4-4", "3.10.4-5", "2.3.1-7"],
    v5: ["3.10.4-4", "3.10.4-5", "2.2.1-6", "3.11.3-2"],
    run: async ({ connect, isV5 }) => {
      const client = await connect("c");
      sendHex(client, hexPacket("a2", "abcd", isV5 ? "00" : "", hexText("t")));
      const { packetId, reasonCodes } = await client.next("unsuback");
      assert.deepEqual([packetId, reasonCodes], [0xabcd, isV5 ? [ReasonCode.NoSubscriptionExisted] : []]);
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "several filters in one UNSUBSCRIBE: one UNSUBACK, with a code for each in their order",
    v4: ["3.10.4-6", "3.10.4-1"],
    v5: ["3.10.4-6", "3.11.3-1", "3.11.3-2", "3.10.4-1"],
    run: async ({ connect, isV5 }) => {
      const client = await connect("c");
      for (const topicFilter of ["a", "b/#", "c"]) await client.subscribe(topicFilter, { qos: 0 });
      client.send({ type: "unsubscribe", packetId: 9, topicFilters: ["a", "x", "b/#", "a"] });
      const { reasonCodes } = await client.next("unsuback");
      assert.deepEqual(reasonCodes, isV5 ? [0, 0x11, 0, 0x11] : []);
      for (const topic of ["a", "b/1", "c"]) client.publish(topic, { qos: 0 });
      assert.equal((await client.next("publish")).topic, "c");
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "filters are compared character by character: only the same text ends a subscription",
    v4: ["3.10.4-1"],
    v5: ["3.10.4-1"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.subscribe("a/+", { qos: 0 });
      for (const topicFilter of ["a/b", "A/+", "a/#", "a/+/", "#", "/a/+"]) await client.unsubscribe(topicFilter);
      client.publish("a/b", { qos: 0 });
      await client.next("publish");
      await client.unsubscribe("a/+");
      client.publish("a/b", { qos: 0 });
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "after UNSUBACK no new messages come, and what was being sent is completed",
    v4: ["3.10.4-2", "3.10.4-3"],
    v5: ["3.10.4-2", "3.10.4-3"],
    run: async ({ connectPersistent, connect }) => {
      const client = await connectPersistent("c");
      await client.subscribe("t", { qos: 2 });
      const publisher = await connect("p");
      publisher.publish("t", { qos: 2, payload: "1" });
      const { packetId = 0 } = await client.next("publish");
      publisher.publish("t", { qos: 1, payload: "2" });
      await client.next("publish");
      await client.unsubscribe("t");
      await publisher.next("pubrec");
      await publisher.next("puback");
      await publisher.publishAcked("t", "3");
      client.send({ type: "pubrec", packetId, reasonCode: 0 });
      await client.next("pubrel");
      client.send({ type: "pubcomp", packetId, reasonCode: 0 });
      assert.deepEqual(await client.ping(), []);
      await client.break();
      const again = await connectPersistent("c");
      const resent = await again.next("publish");
      assert.deepEqual([text(resent), resent.dup], ["2", true]);
      assert.deepEqual(await again.ping(), []);
    },
  },
  {
    title: "an UNSUBSCRIBE without a filter, or with one that is not well-formed, ends the connection",
    v4: ["3.10.3-1", "3.10.3-2", "4.8.0-1"],
    v5: ["3.10.3-1", "3.10.3-2", "4.13.1-1"],
    run: async ({ connect, ended, isV5 }) => {
      const empty = await connect("c");
      sendHex(empty, hexPacket("a2", "0001", isV5 ? "00" : ""));
      await ended(empty, ReasonCode.ProtocolError);
      const bad = await connect("c");
      sendHex(bad, hexPacket("a2", "0001", isV5 ? "00" : "", "0002c080"));
      await ended(bad, ReasonCode.MalformedPacket);
    },
  },
];
