// CONNECT and CONNACK (3.1, 3.2).

import assert from "node:assert/strict";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import { text } from "../../broker/raw-client.ts";
import { waitFor } from "../../support/wait-for.ts";
import { type ConformanceCase, hexConnect, hexPacket, hexText, sendHex } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "a first packet that is no CONNECT ends the connection, without an answer",
    v4: ["3.1.0-1", "3.2.0-1"],
    v5: ["3.1.0-1", "3.2.0-1", "3.14.0-1"],
    run: async ({ open, isV5 }) => {
      const none = isV5 ? "00" : "";
      for (const packet of [
        "c000",
        "e000",
        "f000",
        hexPacket("30", hexText("t"), none),
        hexPacket("82", "0001", none, "00017400"),
      ]) {
        const client = await open();
        sendHex(client, packet);
        await client.closed();
        assert.deepEqual(client.waiting, []);
      }
    },
  },
  {
    title: "a second CONNECT ends the connection with 0x82, and there is one CONNACK only",
    v4: ["3.1.0-2"],
    v5: ["3.1.0-2", "3.2.0-2", "3.14.0-1"],
    run: async ({ connect, ended, version }) => {
      const client = await connect("c");
      sendHex(client, hexConnect(version, {}));
      await ended(client, ReasonCode.ProtocolError);
    },
  },
  {
    title: "another protocol name or version is refused: CONNACK 0x01 or 0x84, and the end",
    v4: ["3.1.2-1", "3.1.2-2", "3.2.2-4", "3.2.2-5"],
    v5: ["3.1.2-1", "3.1.2-2", "3.2.2-6", "3.2.2-7"],
    run: async ({ open, version }) => {
      for (const level of ["00", "02", "06", "84", "ff"]) {
        const client = await open();
        const bytes: Buffer[] = [];
        client.socket.removeAllListeners("data");
        client.socket.on("data", (chunk: Buffer) => bytes.push(chunk));
        sendHex(client, hexConnect(version, { level }));
        await client.closed();
        const answer = Buffer.concat(bytes).toString("hex");
        assert.ok(answer.startsWith("20") && ["0001", "0084"].includes(answer.slice(4, 8)), answer);
      }
      for (const name of ["MQTX", "mqtt", "MQTT\u0001", ""]) {
        const client = await open();
        client.socket.removeAllListeners("data");
        client.socket.resume();
        sendHex(client, hexConnect(version, { name: hexText(name) }));
        await client.closed();
      }
    },
  },
  {
    title: "a CONNECT with its reserved flag set is refused",
    v4: ["3.1.2-3", "3.1.4-1"],
    v5: ["3.1.2-3", "3.1.4-1"],
    not31: "the flag means nothing, and is passed over",
    run: async ({ open, version, isV5 }) => {
      const client = await open();
      sendHex(client, hexConnect(version, { flags: "03" }));
      if (isV5) assert.equal((await client.next("connack")).reasonCode, ReasonCode.MalformedPacket);
      await client.closed();
      assert.deepEqual(client.waiting, []);
    },
  },
  {
    title: "will flags that contradict each other are refused",
    v4: ["3.1.2-11", "3.1.2-13", "3.1.2-14", "3.1.2-15", "3.1.4-1"],
    v5: ["3.1.2-11", "3.1.2-12", "3.1.2-13", "3.1.4-1"],
    run: async ({ open, version, isV5 }) => {
      const will = `${isV5 ? "00" : ""}${hexText("w")}${hexText("bye")}`;
      for (const { flags, more } of [
        { flags: "0a", more: "" },
        { flags: "12", more: "" },
        { flags: "22", more: "" },
        { flags: "1e", more: will },
      ]) {
        const client = await open();
        sendHex(client, hexConnect(version, { flags, more }));
        if (isV5) assert.equal((await client.next("connack")).reasonCode, ReasonCode.MalformedPacket);
        await client.closed();
        assert.deepEqual(client.waiting, []);
      }
    },
  },
  {
    title: "fields of the payload that are missing or too many are refused",
    v4: ["3.1.2-9", "3.1.2-11", "3.1.2-18", "3.1.2-19", "3.1.2-20", "3.1.2-21", "3.1.3-3", "3.1.4-1"],
    v5: ["3.1.2-9", "3.1.2-16", "3.1.2-17", "3.1.2-18", "3.1.2-19", "3.1.3-3", "3.1.4-1"],
    not31: "user name and password may be missing at the end although their flags are set",
    run: async ({ open, version, isV5 }) => {
      const packets = [
        hexConnect(version, { clientId: "" }),
        hexConnect(version, { flags: "06" }),
        hexConnect(version, { flags: "06", more: `${isV5 ? "00" : ""}${hexText("w")}` }),
        hexConnect(version, { flags: "82" }),
        hexConnect(version, { flags: "c2", more: hexText("user") }),
        hexConnect(version, { more: hexText("user") }),
        hexConnect(version, { flags: "82", more: hexText("user") + hexText("password") }),
      ];
      for (const packet of packets) {
        const client = await open();
        sendHex(client, packet);
        if (isV5) assert.equal((await client.next("connack")).reasonCode, ReasonCode.MalformedPacket);
        await client.closed();
        assert.deepEqual(client.waiting, []);
      }
    },
  },
  {
    title: "a password without a user name is refused before MQTT 5, and taken since",
    v4: ["3.1.2-22"],
    v5: ["3.1.2-16", "3.1.2-19"],
    run: async ({ open, version, isV5 }) => {
      const client = await open();
      sendHex(client, hexConnect(version, { flags: "42", more: hexText("password") }));
      if (isV5) assert.equal((await client.next("connack")).reasonCode, ReasonCode.Success);
      else await client.closed();
    },
  },
  {
    title: "all fields of the payload are read in their order",
    v4: ["3.1.3-1", "3.1.2-19", "3.1.2-21", "3.1.4-4"],
    v5: ["3.1.3-1", "3.1.2-17", "3.1.2-19", "3.1.4-5"],
    run: async ({ open, watch, version, isV5 }) => {
      const watcher = await watch("w");
      const client = await open();
      const will = `${isV5 ? "00" : ""}${hexText("w")}${hexText("bye")}`;
      sendHex(client, hexConnect(version, { flags: "c6", more: will + hexText("user") + hexText("password") }));
      assert.equal((await client.next("connack")).reasonCode, 0);
      await client.break();
      assert.equal(text(await watcher.next("publish")), "bye");
    },
  },
  {
    title: "Client Identifier, Will Topic and User Name must be well-formed UTF-8",
    v4: ["3.1.3-4", "3.1.3-10", "3.1.3-11", "3.1.4-1"],
    v5: ["3.1.3-4", "3.1.3-11", "3.1.3-12", "3.1.4-1"],
    run: async ({ open, version, isV5 }) => {
      const bad = "0002 c080";
      for (const packet of [
        hexConnect(version, { clientId: bad }),
        hexConnect(version, { flags: "06", more: `${isV5 ? "00" : ""}${bad}0000` }),
        hexConnect(version, { flags: "82", more: bad }),
      ]) {
        const client = await open();
        sendHex(client, packet);
        if (isV5) assert.equal((await client.next("connack")).reasonCode, ReasonCode.MalformedPacket);
        await client.closed();
        assert.deepEqual(client.waiting, []);
      }
    },
  },
  {
    title: "every Client Identifier of 1 to 23 letters and digits is taken, and longer ones are too",
    v4: ["3.1.3-5", "3.1.4-4"],
    v5: ["3.1.3-5", "3.1.4-5"],
    run: async ({ connect }) => {
      const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
      const names = [letters.slice(0, 23), letters.slice(23, 46), letters.slice(46), "a", "x".repeat(300)];
      for (const name of [...names, "__proto__", "constructor"]) {
        assert.equal((await connect(name)).connack?.reasonCode, 0);
      }
    },
  },
  {
    title: "an empty Client Identifier gets one of its own",
    v4: ["3.1.3-6"],
    v5: ["3.1.3-6", "3.1.3-7", "3.2.2-16"],
    not31: "an empty Client Identifier is refused with 0x02, with Clean Session 1 too",
    run: async ({ connect, isV5 }) => {
      const one = await connect("");
      const two = await connect("");
      await one.subscribe("t");
      assert.deepEqual(await two.ping(), []);
      assert.deepEqual(await one.ping(), []);
      if (!isV5) return;
      const names = [one, two].map(({ connack }) => connack?.properties?.assignedClientIdentifier);
      assert.equal(new Set([...names, undefined, ""]).size, 4);
    },
  },
  {
    title: "an assigned Client Identifier names the session like any other",
    v5: ["3.1.3-2", "3.1.3-7"],
    run: async ({ connectPersistent }) => {
      const one = await connectPersistent("");
      await one.subscribe("t");
      await one.disconnect();
      const again = await connectPersistent(one.connack?.properties?.assignedClientIdentifier as string);
      assert.equal(again.connack?.sessionPresent, true);
      assert.equal(again.connack.properties?.assignedClientIdentifier, undefined);
    },
  },
  {
    title: "an empty Client Identifier with Clean Session 0 is refused with 0x02",
    v4: ["3.1.3-8", "3.1.3-9", "3.2.2-4", "3.2.2-5"],
    run: async ({ connect }) => {
      const client = await connect("", { cleanStart: false });
      assert.deepEqual([client.connack?.reasonCode, client.connack?.sessionPresent], [2, false]);
      await client.closed();
    },
  },
  {
    title: "a Client Identifier that is refused ends the connection, with CONNACK 0x02 or 0x85",
    v4: ["3.1.3-9", "3.2.2-5"],
    v5: ["3.1.3-8", "3.2.2-7", "3.1.4-2"],
    options: { maxClientidLen: 23 },
    run: async ({ connect, isV5 }) => {
      const client = await connect("x".repeat(24));
      assert.equal(client.connack?.reasonCode, isV5 ? ReasonCode.ClientIdentifierNotValid : 2);
      assert.equal(client.connack.sessionPresent, false);
      await client.closed();
    },
  },
  {
    title: "too many clients: the next one is refused with a reason that CONNACK may carry, and the connection ends",
    v4: ["3.2.2-4", "3.2.2-5", "3.2.2-6"],
    v5: ["3.1.4-2", "3.2.2-6", "3.2.2-7", "3.2.2-8"],
    options: { maxConnections: 1 },
    run: async ({ connect, isV5 }) => {
      await connect("a");
      const client = await connect("b");
      assert.equal(client.connack?.reasonCode, isV5 ? ReasonCode.ServerBusy : 3);
      assert.equal(client.connack.sessionPresent, false);
      await client.closed();
    },
  },
  {
    title: "what follows a refused CONNECT is not processed",
    v4: ["3.1.4-5"],
    v5: ["3.1.4-6"],
    options: { maxClientidLen: 23 },
    run: async ({ open, watch, connect, version, isV5 }) => {
      const watcher = await watch("t");
      const client = await open();
      const publish = hexPacket("30", hexText("t"), isV5 ? "00" : "", "78");
      sendHex(client, hexConnect(version, { clientId: hexText("x".repeat(24)) }) + publish);
      await client.next("connack");
      await client.closed();
      await (await connect("other")).ping();
      assert.deepEqual(await watcher.ping(), []);
    },
  },
  {
    title: "what follows a CONNECT at once, before its CONNACK, is processed after it",
    v4: ["3.2.0-1"],
    v5: ["3.2.0-1"],
    run: async ({ open, version, isV5 }) => {
      const client = await open();
      sendHex(client, `${hexConnect(version, {})}${hexPacket("82", "0001", isV5 ? "00" : "", hexText("t"), "00")}c000`);
      await client.next("connack");
      await client.next("suback");
      await client.next("pingresp");
    },
  },
  {
    title: "a client that is connected already is taken over: the earlier connection ends, with 0x8E",
    v4: ["3.1.4-2", "3.1.3-2"],
    v5: ["3.1.4-3", "3.1.3-2"],
    run: async ({ connect, ended }) => {
      const one = await connect("c");
      const two = await connect("c");
      await ended(one, ReasonCode.SessionTakenOver);
      assert.deepEqual(await two.ping(), []);
    },
  },
  {
    title: "CONNACK has no flags but Session Present, which is 0 for a new session",
    v4: ["3.2.2-1", "3.2.2-3", "3.1.4-4"],
    v5: ["3.2.2-1", "3.2.2-2", "3.2.2-3", "3.1.4-5"],
    run: async ({ open, version }) => {
      for (const flags of ["00", "02"]) {
        const client = await open();
        const bytes: Buffer[] = [];
        client.socket.on("data", (chunk: Buffer) => bytes.push(chunk));
        sendHex(client, hexConnect(version, { flags }));
        const connack = await client.next("connack");
        assert.equal(Buffer.concat(bytes)[2], 0);
        assert.equal(connack.reasonCode, 0);
        await client.disconnect();
      }
    },
  },
  {
    title: "Response Information is sent if it is asked for, and fits in the Maximum Packet Size",
    v5: ["3.1.2-28", "3.1.2-24"],
    options: { responseInformation: "responses/here" },
    run: async ({ connect }) => {
      for (const { properties, expected } of [
        { properties: {}, expected: undefined },
        { properties: { requestResponseInformation: false }, expected: undefined },
        { properties: { requestResponseInformation: true }, expected: "responses/here" },
        { properties: { requestResponseInformation: true, maximumPacketSize: 33 }, expected: "responses/here" },
        { properties: { requestResponseInformation: true, maximumPacketSize: 32 }, expected: undefined },
      ]) {
        const { connack } = await connect("c", { properties });
        assert.equal(connack?.reasonCode, 0);
        assert.equal(connack.properties?.responseInformation, expected);
      }
    },
  },
  {
    title: "Response Information is not sent without an option that says what",
    v5: ["3.1.2-28"],
    run: async ({ connect }) => {
      const client = await connect("c", { properties: { requestResponseInformation: true } });
      assert.equal(client.connack?.properties?.responseInformation, undefined);
    },
  },
  {
    title: "Server Keep Alive: MQTT 5 clients are told it and it counts, others keep their own",
    v4: ["3.1.2-24"],
    v5: ["3.1.2-22", "3.2.2-22"],
    options: { serverKeepalive: 10 },
    run: async ({ connect, advance, ended, isV5 }) => {
      const long = await connect("long", { keepAlive: 100 });
      const short = await connect("short", { keepAlive: 2 });
      const none = await connect("none", { keepAlive: 0 });
      for (const { connack } of [long, short, none]) {
        assert.equal(connack?.properties?.serverKeepAlive, isV5 ? 10 : undefined);
      }
      advance(isV5 ? 14 : 2.5);
      for (const client of [long, short, none]) assert.deepEqual(await client.ping(), []);
      advance(15.1);
      if (isV5) {
        for (const client of [long, short, none]) await ended(client, ReasonCode.KeepAliveTimeout);
      } else {
        await ended(short, ReasonCode.KeepAliveTimeout);
        for (const client of [long, none]) assert.deepEqual(await client.ping(), []);
      }
    },
  },
  {
    title: "a Server Keep Alive of 0 is told, and no client is ended for its silence",
    v5: ["3.1.2-22"],
    options: { serverKeepalive: 0 },
    run: async ({ connect, advance }) => {
      const client = await connect("c", { keepAlive: 1 });
      assert.equal(client.connack?.properties?.serverKeepAlive, 0);
      advance(100_000);
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "Keep Alive: a client that is silent for one and a half times as long is gone, and its will is published",
    v4: ["3.1.2-24"],
    v5: ["3.1.2-22", "3.2.2-22"],
    run: async ({ connect, watch, advance, ended }) => {
      const watcher = await watch("will");
      const will = { topic: "will", payload: Buffer.from("gone"), qos: 0 as const, retain: false };
      const client = await connect("c", { keepAlive: 10, will });
      assert.equal(client.connack?.properties?.serverKeepAlive, undefined);
      advance(14);
      assert.deepEqual(await client.ping(), []);
      advance(14);
      assert.deepEqual(await client.ping(), []);
      advance(15.1);
      await ended(client, ReasonCode.KeepAliveTimeout);
      assert.equal(text(await watcher.next("publish")), "gone");
    },
  },
  {
    title: "a Keep Alive of 0 never ends the connection",
    v4: ["3.1.2-24"],
    v5: ["3.1.2-22"],
    run: async ({ connect, advance }) => {
      const silent = await connect("c");
      const timed = await connect("d", { keepAlive: 1 });
      advance(1_000_000);
      await waitFor(() => timed.isClosed, { what: "the client with a Keep Alive to be closed" });
      assert.deepEqual(await silent.ping(), []);
    },
  },
  {
    title: "properties that do not belong in CONNECT, are there twice or out of range are refused",
    v5: ["3.1.4-1", "3.2.2-8"],
    run: async ({ open, version }) => {
      const { MalformedPacket, ProtocolError } = ReasonCode;
      for (const { properties, reasonCode } of [
        { properties: "02 0101", reasonCode: MalformedPacket },
        { properties: "06 11 00000001", reasonCode: MalformedPacket },
        { properties: "0a 11 00000001 11 00000001", reasonCode: ProtocolError },
        { properties: "03 21 0000", reasonCode: ProtocolError },
        { properties: "05 27 00000000", reasonCode: ProtocolError },
        { properties: "02 19 02", reasonCode: ProtocolError },
        { properties: "02 17 02", reasonCode: ProtocolError },
        { properties: "04 16 0001 78", reasonCode: ProtocolError },
      ]) {
        const client = await open();
        sendHex(client, hexConnect(version, { properties }));
        const connack = await client.next("connack");
        assert.equal(connack.reasonCode, reasonCode, properties);
        await client.closed();
      }
    },
  },
];
