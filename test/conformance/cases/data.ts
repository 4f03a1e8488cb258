// Data types and the fixed header: UTF-8, variable byte integers, reserved flags, Packet Identifiers (chapters 1.5 and 2).

import assert from "node:assert/strict";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import { type ConformanceCase, hexConnect, hexPacket, hexText, sendHex } from "../conformance-case.ts";

const ILL_FORMED = ["eda080", "edbfbf", "c080", "c1bf", "f4908080", "80", "e282", "ff"];

export const cases: readonly ConformanceCase[] = [
  {
    title: "ill-formed UTF-8 in a topic ends the connection: surrogates, overlong forms, above U+10FFFF, cut short",
    v4: ["1.5.3-1", "3.3.2-1", "4.8.0-1"],
    v5: ["1.5.4-1", "3.3.2-1"],
    run: async ({ connect, ended, isV5 }) => {
      for (const bytes of ILL_FORMED) {
        const client = await connect("c");
        const topic = (bytes.length / 2 + 1).toString(16).padStart(4, "0");
        sendHex(client, hexPacket("30", topic, "61", bytes, isV5 ? "00" : ""));
        await ended(client, ReasonCode.MalformedPacket);
      }
    },
  },
  {
    title: "U+0000 in a topic or in a topic filter ends the connection",
    v4: ["1.5.3-2", "4.7.3-2"],
    v5: ["1.5.4-2", "4.7.3-2"],
    run: async ({ connect, ended, isV5 }) => {
      const none = isV5 ? "00" : "";
      for (const packet of [
        hexPacket("30", hexText("a\0b"), none),
        hexPacket("82", "0001", none, hexText("a\0b"), "00"),
        hexPacket("a2", "0001", none, hexText("\0")),
      ]) {
        const client = await connect("c");
        sendHex(client, packet);
        await ended(client, ReasonCode.MalformedPacket);
      }
    },
  },
  {
    title: "a byte order mark in a topic is passed on as a character",
    v4: ["1.5.3-3"],
    v5: ["1.5.4-3"],
    run: async ({ connect, watch }) => {
      const watcher = await watch("\ufeffa/+");
      const publisher = await connect("p");
      publisher.publish("\ufeffa/b\ufeff", { qos: 0 });
      publisher.publish("a/b", { qos: 0 });
      assert.equal((await watcher.next("publish")).topic, "\ufeffa/b\ufeff");
      await publisher.ping();
      assert.deepEqual(await watcher.ping(), []);
    },
  },
  {
    title: "a length with more bytes than it needs, or with more than four, ends the connection with 0x81",
    v5: ["1.5.5-1"],
    run: async ({ connect, ended }) => {
      for (const packet of ["c0 8000", "30 85 00 000174 00 78", "30 ffffffff 01", "30 05 000174 8000"]) {
        const client = await connect("c");
        sendHex(client, packet);
        await ended(client, ReasonCode.MalformedPacket);
      }
    },
  },
  {
    title: "both strings of a User Property must be well-formed",
    v5: ["1.5.7-1"],
    run: async ({ connect, ended }) => {
      for (const pair of ["0001ff 000161", "000161 0001ff", "000100 000161", "000161 000100"]) {
        const client = await connect("c");
        sendHex(client, hexPacket("30", hexText("t"), "07 26", pair));
        await ended(client, ReasonCode.MalformedPacket);
      }
    },
  },
  {
    title: "reserved flags in the fixed header that are not as listed end the connection with 0x81",
    v4: ["2.2.2-1", "2.2.2-2", "3.6.1-1", "3.8.1-1", "3.10.1-1", "3.14.1-1"],
    v5: ["2.1.3-1", "3.6.1-1", "3.8.1-1", "3.10.1-1", "3.14.1-1", "3.15.1-1"],
    not31: "the flags of these packets mean nothing, and are passed over",
    run: async ({ connect, ended, isV5 }) => {
      const none = isV5 ? "00" : "";
      const packets = [
        "41 02 0001",
        "51 02 0001",
        "60 02 0001",
        "63 02 0001",
        "71 02 0001",
        hexPacket("80", "0001", none, hexText("t"), "00"),
        hexPacket("83", "0001", none, hexText("t"), "00"),
        hexPacket("a0", "0001", none, hexText("t")),
        hexPacket("a6", "0001", none, hexText("t")),
        "c1 00",
        "e1 00",
        "e8 00",
      ];
      if (isV5) packets.push("f1 00");
      for (const packet of packets) {
        const client = await connect("c");
        sendHex(client, packet);
        await ended(client, ReasonCode.MalformedPacket);
      }
    },
  },
  {
    title: "packet type 0, types that only a server sends, and a CONNECT with flags end the connection",
    v4: ["2.2.2-2", "4.8.0-1"],
    v5: ["4.13.1-1"],
    not31: "a CONNECT may have flags, which mean nothing",
    run: async ({ connect, open, ended, version, isV5 }) => {
      const client = await connect("c");
      sendHex(client, "00 00");
      await ended(client, ReasonCode.MalformedPacket);
      for (const packet of ["20 02 0000", "90 03 000100", "b0 02 0001", "d0 00"]) {
        const other = await connect("c");
        sendHex(other, packet);
        await ended(other, ReasonCode.ProtocolError);
      }
      const flagged = await open();
      sendHex(flagged, `11${hexConnect(version, {}).slice(2)}`);
      if (isV5) assert.equal((await flagged.next("connack")).reasonCode, ReasonCode.MalformedPacket);
      await flagged.closed();
      assert.deepEqual(flagged.waiting, []);
    },
  },
  {
    title: "a Packet Identifier of 0 is a protocol error",
    v4: ["2.3.1-1", "4.8.0-1"],
    v5: ["4.13.1-1"],
    run: async ({ connect, ended, isV5 }) => {
      const none = isV5 ? "00" : "";
      for (const packet of [
        hexPacket("32", hexText("t"), "0000", none),
        hexPacket("34", hexText("t"), "0000", none),
        hexPacket("82", "0000", none, hexText("t"), "00"),
        hexPacket("a2", "0000", none, hexText("t")),
      ]) {
        const client = await connect("c");
        sendHex(client, packet);
        await ended(client, ReasonCode.ProtocolError);
      }
    },
  },
  {
    title: "a QoS 0 message goes out without Packet Identifier, and without properties with a Property Length of 0",
    v4: ["2.3.1-5"],
    v5: ["2.2.1-2", "2.2.2-1"],
    run: async ({ connect, watch, isV5 }) => {
      const watcher = await watch("t");
      const bytes: Buffer[] = [];
      watcher.socket.on("data", (chunk: Buffer) => bytes.push(chunk));
      const publisher = await connect("p");
      publisher.publish("t", { qos: 0, payload: "x" });
      await watcher.next("publish");
      const expected = hexPacket("30", hexText("t"), isV5 ? "00" : "", "78");
      assert.equal(Buffer.concat(bytes).toString("hex"), expected);
    },
  },
  {
    title: "two messages that are unacknowledged have different Packet Identifiers, none of them 0",
    v4: ["2.3.1-1", "2.3.1-4", "4.3.2-1", "4.3.3-1"],
    v5: ["2.2.1-4", "4.3.2-1", "4.3.3-1"],
    options: { maxInflight: 8 },
    run: async ({ connect, watch }) => {
      const watcher = await watch("#");
      const publisher = await connect("p");
      for (let count = 0; count < 8; count++) publisher.publish("t", { qos: count % 2 === 0 ? 1 : 2 });
      const identifiers = new Set<number>();
      for (let count = 0; count < 8; count++) identifiers.add((await watcher.next("publish")).packetId as number);
      assert.equal(identifiers.size, 8);
      assert.ok(!identifiers.has(0));
    },
  },
];
