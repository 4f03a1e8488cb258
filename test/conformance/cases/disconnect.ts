// DISCONNECT, from either side (3.14).

import assert from "node:assert/strict";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import type { ConformanceCase } from "../conformance-case.ts";
import { hexPacket, hexText, sendHex } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "after DISCONNECT the server closes the connection and processes nothing more",
    v4: ["3.14.4-3"],
    v5: ["3.14.4-3"],
    run: async ({ connect, watch, isV5 }) => {
      const watcher = await watch("#");
      const will = { topic: "will", payload: Buffer.from("gone"), qos: 0 as const, retain: false };
      const client = await connect("c", { will });
      sendHex(client, `e000${hexPacket("30", hexText("t"), isV5 ? "00" : "")}`);
      await client.closed();
      assert.deepEqual(client.waiting, []);
      assert.deepEqual(await watcher.ping(), []);
    },
  },
  {
    title: "the server's DISCONNECT is its last packet: it answers nothing more and closes",
    v5: ["3.14.4-1", "3.14.4-2", "3.14.2-1", "3.14.2-2", "4.13.2-1"],
    run: async ({ connect }) => {
      const client = await connect("c", { properties: { sessionExpiryInterval: 60 } });
      sendHex(client, "f000 c000 c000");
      const { reasonCode, properties } = await client.next("disconnect");
      assert.equal(reasonCode, ReasonCode.ProtocolError);
      assert.equal(properties?.sessionExpiryInterval, undefined);
      await client.closed();
      assert.deepEqual(client.waiting, []);
    },
  },
  {
    title: "a stopping server says 0x8B",
    v5: ["3.14.2-1", "3.14.4-2"],
    run: async ({ connect, fixture, ended }) => {
      const client = await connect("c");
      await fixture.broker.stop();
      await ended(client, ReasonCode.ServerShuttingDown);
    },
  },
  {
    title: "a Reason Code or property that DISCONNECT cannot have ends the connection",
    v5: ["4.13.1-1"],
    run: async ({ connect, ended }) => {
      for (const { packet, reasonCode } of [
        { packet: "e0 01 03", reasonCode: ReasonCode.ProtocolError },
        { packet: "e0 04 00 02 0101", reasonCode: ReasonCode.MalformedPacket },
        { packet: "e0 07 00 05 1100000001", reasonCode: ReasonCode.ProtocolError },
      ]) {
        const client = await connect("c");
        sendHex(client, packet);
        await ended(client, reasonCode);
      }
    },
  },
  {
    title: "DISCONNECT may shorten the session: the new Session Expiry Interval counts",
    v5: ["4.1.0-2", "3.1.2-23"],
    run: async ({ connectPersistent }) => {
      const client = await connectPersistent("c");
      client.send({ type: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 0 } });
      await client.closed();
      assert.equal((await connectPersistent("c")).connack?.sessionPresent, false);
    },
  },
];
