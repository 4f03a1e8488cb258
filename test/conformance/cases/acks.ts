// PUBACK, PUBREC, PUBREL and PUBCOMP as answers (3.3.4 to 3.7).

import assert from "node:assert/strict";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import type { ConformanceCase } from "../conformance-case.ts";
import { sendHex } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "PUBLISH is answered as its QoS says, with its Packet Identifier",
    v4: ["3.3.4-1", "2.3.1-6", "4.3.2-2", "4.3.3-2"],
    v5: ["3.3.4-1", "2.2.1-5", "4.3.2-4", "4.3.3-8", "4.3.3-11"],
    run: async ({ connect }) => {
      const client = await connect("c");
      client.publish("t", { qos: 0 });
      assert.deepEqual(await client.ping(), []);
      client.publish("t", { qos: 1, packetId: 65_535 });
      assert.equal((await client.next("puback")).packetId, 65_535);
      client.publish("t", { qos: 2, packetId: 258 });
      assert.equal((await client.next("pubrec")).packetId, 258);
      client.send({ type: "pubrel", packetId: 258, reasonCode: 0 });
      assert.equal((await client.next("pubcomp")).packetId, 258);
    },
  },
  {
    title: "PUBACK and PUBREC say 0x10 where nobody has subscribed, and 0x00 else",
    v5: ["3.4.2-1", "3.5.2-1"],
    run: async ({ connect }) => {
      const client = await connect("c");
      assert.equal(await client.publishAcked("t"), ReasonCode.NoMatchingSubscribers);
      client.publish("t", { qos: 2 });
      assert.equal((await client.next("pubrec")).reasonCode, ReasonCode.NoMatchingSubscribers);
      const other = await connect("other");
      await other.subscribe("t", { qos: 0 });
      assert.equal(await client.publishAcked("t"), ReasonCode.Success);
      client.publish("t", { qos: 2 });
      assert.equal((await client.next("pubrec")).reasonCode, ReasonCode.Success);
    },
  },
  {
    title: "PUBREL and PUBREC with an unknown Packet Identifier are answered, in MQTT 5 with 0x92",
    v4: ["4.3.3-2"],
    v5: ["3.6.2-1", "3.7.2-1", "4.3.3-11"],
    run: async ({ connect, isV5 }) => {
      const client = await connect("c");
      const expected = isV5 ? ReasonCode.PacketIdentifierNotFound : 0;
      client.send({ type: "pubrel", packetId: 7, reasonCode: 0 });
      const pubcomp = await client.next("pubcomp");
      assert.deepEqual([pubcomp.packetId, pubcomp.reasonCode], [7, expected]);
      client.send({ type: "pubrec", packetId: 8, reasonCode: 0 });
      const pubrel = await client.next("pubrel");
      assert.deepEqual([pubrel.packetId, pubrel.reasonCode], [8, expected]);
    },
  },
  {
    title: "acknowledgements of nothing are passed over",
    v4: ["4.3.2-1"],
    v5: ["4.3.2-3"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.subscribe("t", { qos: 1 });
      client.publish("t", { payload: "x" });
      await client.next("publish");
      await client.next("puback");
      for (const type of ["puback", "pubcomp"] as const) client.send({ type, packetId: 999, reasonCode: 0 });
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "a Reason Code that an acknowledgement cannot have ends the connection",
    v5: ["4.13.1-1"],
    run: async ({ connect, ended }) => {
      for (const packet of ["40 03 0001 01", "50 03 0001 92", "62 03 0001 10", "70 03 0001 80"]) {
        const client = await connect("c");
        sendHex(client, packet);
        await ended(client, ReasonCode.ProtocolError);
      }
    },
  },
  {
    title: "PUBACKs come in the order of the PUBLISHes",
    v4: ["3.3.4-1"],
    v5: ["3.3.4-1"],
    run: async ({ connect }) => {
      const client = await connect("c");
      const sent = Array.from({ length: 50 }, () => client.publish("t"));
      for (const packetId of sent) assert.equal((await client.next("puback")).packetId, packetId);
    },
  },
];
