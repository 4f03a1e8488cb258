// Malformed packets and protocol errors (MQTT 3.1.1, 4.8; MQTT 5, 4.13), which end one connection and harm no other.

import assert from "node:assert/strict";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import { text } from "../../broker/raw-client.ts";
import { type ConformanceCase, hexPacket, hexText, sendHex } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "packets that end in the middle of a field, or go on after their end, are malformed",
    v4: ["4.8.0-1"],
    v5: ["4.13.1-1", "4.13.2-1"],
    run: async ({ connect, ended, isV5 }) => {
      const none = isV5 ? "00" : "";
      const packets = [
        hexPacket("30", "00"),
        hexPacket("30", "0005", "61"),
        hexPacket("32", hexText("t"), "00"),
        hexPacket("40", "00"),
        hexPacket("62", ""),
        hexPacket("82", "0001", none, "0005 61"),
        hexPacket("82", "0001", none, hexText("t")),
        hexPacket("a2", "0001", none, "0005 61"),
        hexPacket("c0", "00"),
      ];
      if (isV5) packets.push(hexPacket("40", "0001 00 00 00"), hexPacket("30", hexText("t"), "05 01"));
      else packets.push(hexPacket("40", "0001 00"), hexPacket("e0", "00"));
      for (const packet of packets) {
        const client = await connect("c");
        sendHex(client, packet);
        await ended(client, ReasonCode.MalformedPacket);
      }
    },
  },
  {
    title: "a protocol error ends one connection only: others go on, and the will is published",
    v4: ["4.8.0-1", "3.1.2-8"],
    v5: ["4.13.1-1", "3.1.2-8"],
    run: async ({ connect, watch, ended }) => {
      const watcher = await watch("will");
      const will = { topic: "will", payload: Buffer.from("x"), qos: 1 as const, retain: false };
      const client = await connect("c", { will });
      sendHex(client, "00 00");
      await ended(client, ReasonCode.MalformedPacket);
      assert.equal(text(await watcher.next("publish")), "x");
    },
  },
  {
    title: "what came before a malformed packet is processed, what follows is not",
    v4: ["4.8.0-1"],
    v5: ["4.13.1-1"],
    run: async ({ connect, watch, isV5 }) => {
      const watcher = await watch("#");
      const client = await connect("c");
      const none = isV5 ? "00" : "";
      const publish = (payload: string): string =>
        hexPacket("30", hexText("t"), none, Buffer.from(payload).toString("hex"));
      sendHex(client, `${publish("1")}36 03 000174${publish("2")}`);
      await client.closed();
      assert.equal(text(await watcher.next("publish")), "1");
      assert.deepEqual(await watcher.ping(), []);
    },
  },
  {
    title: "properties of other packets, properties that are there twice, and values out of range are refused",
    v5: ["4.13.1-1"],
    run: async ({ connect, ended }) => {
      const { MalformedPacket, ProtocolError, TopicAliasInvalid } = ReasonCode;
      for (const { properties, reasonCode } of [
        { properties: "03 21 0001", reasonCode: MalformedPacket },
        { properties: "02 ff 00", reasonCode: MalformedPacket },
        { properties: "04 0101 0101", reasonCode: ProtocolError },
        { properties: "02 01 02", reasonCode: ProtocolError },
        { properties: "0a 02 00000001 02 00000001", reasonCode: ProtocolError },
        { properties: "03 23 0000", reasonCode: TopicAliasInvalid },
        { properties: "04 09 0005 00", reasonCode: MalformedPacket },
      ]) {
        const client = await connect("c");
        sendHex(client, hexPacket("30", hexText("t"), properties));
        await ended(client, reasonCode);
      }
    },
  },
];
