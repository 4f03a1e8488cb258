// AUTH and enhanced authentication (3.15, 4.12), of which the broker supports no method.

import assert from "node:assert/strict";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import { type ConformanceCase, hexConnect, hexPacket, hexText, sendHex } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "any Authentication Method is refused with 0x8C and the end of the connection",
    v5: ["4.12.0-1", "4.12.0-4", "3.1.4-2", "3.2.2-6", "3.2.2-7"],
    run: async ({ connect }) => {
      for (const authenticationMethod of ["SCRAM-SHA-1", ""]) {
        const client = await connect("c", { properties: { authenticationMethod } });
        assert.equal(client.connack?.reasonCode, ReasonCode.BadAuthenticationMethod);
        assert.equal(client.connack.sessionPresent, false);
        await client.closed();
      }
    },
  },
  {
    title: "a client without Authentication Method gets neither AUTH nor a method in CONNACK",
    v5: ["4.12.0-6"],
    run: async ({ connect }) => {
      const client = await connect("c", { userName: "u", password: Buffer.from("p") });
      assert.equal(client.connack?.properties?.authenticationMethod, undefined);
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "AUTH from a client that gave no Authentication Method is a protocol error",
    v5: ["4.13.1-1", "4.12.1-2"],
    run: async ({ connect, ended }) => {
      for (const packet of ["f0 00", "f0 06 19 04 15 0001 78", "f0 06 18 04 15 0001 78"]) {
        const client = await connect("c");
        sendHex(client, packet);
        await ended(client, ReasonCode.ProtocolError);
      }
    },
  },
  {
    title: "AUTH that comes behind a CONNECT with an Authentication Method is not processed: one CONNACK, and the end",
    v5: ["3.1.4-6", "4.12.0-1"],
    run: async ({ open, version }) => {
      const client = await open();
      const method = hexText("SCRAM-SHA-1");
      const connect = hexConnect(version, { properties: `13 15 ${method} 16 0002 abcd` });
      sendHex(client, connect + hexPacket("f0", "18 0e 15", method));
      const connack = await client.next("connack");
      assert.equal(connack.reasonCode, ReasonCode.BadAuthenticationMethod);
      assert.equal(connack.properties?.authenticationMethod, undefined);
      await client.closed();
      assert.deepEqual(client.waiting, []);
    },
  },
  {
    title: "AUTH does not exist before MQTT 5",
    v4: ["4.8.0-1"],
    run: async ({ connect, ended }) => {
      const client = await connect("c");
      sendHex(client, "f0 00");
      await ended(client, ReasonCode.MalformedPacket);
    },
  },
];
