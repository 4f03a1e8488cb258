// Where MQTT 3.1 differs from 3.1.1. For all else the cases of 3.1.1 run for it too.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startBroker } from "../broker/broker-fixture.ts";
import { RawClient, text } from "../broker/raw-client.ts";
import { hexConnect, hexPacket, hexText, sendHex } from "./conformance-case.ts";

const version = 3;

test("protocol name and version belong together: MQIsdp 3, and no other pair", async (t) => {
  const { port } = await startBroker(t, { withoutHooks: true });
  const connect = async (name: string, level: string): Promise<RawClient> => {
    const client = await RawClient.open(port, version);
    t.after(() => client.socket.destroy());
    sendHex(client, hexConnect(version, { name: hexText(name), level }));
    return client;
  };
  assert.equal((await (await connect("MQIsdp", "03")).next("connack")).reasonCode, 0);
  for (const [name, level] of [
    ["MQTT", "03"],
    ["MQIsdp", "04"],
    ["MQIsdp", "05"],
    ["MQisdp", "03"],
  ] as const) {
    const client = await connect(name, level);
    assert.equal((await client.next("connack")).reasonCode, 1, `${name} ${level}`);
    await client.closed();
  }
});

test("Client Identifiers have at least one character, and more than 23 are taken as well", async (t) => {
  const { connect } = await startBroker(t, { withoutHooks: true });
  for (const cleanStart of [true, false]) {
    const client = await connect("", { version, cleanStart });
    assert.equal(client.connack?.reasonCode, 2);
    await client.closed();
  }
  for (const length of [1, 23, 24, 300]) {
    assert.equal((await connect("x".repeat(length), { version })).connack?.reasonCode, 0);
  }
});

test("user name and password may be missing although their flags are set", async (t) => {
  const { port } = await startBroker(t, { withoutHooks: true });
  for (const { flags, more } of [
    { flags: "c2", more: "" },
    { flags: "c2", more: hexText("user") },
    { flags: "c2", more: hexText("user") + hexText("password") },
  ]) {
    const client = await RawClient.open(port, version);
    t.after(() => client.socket.destroy());
    sendHex(client, hexConnect(version, { flags, more }));
    assert.equal((await client.next("connack")).reasonCode, 0);
  }
});

test("bits that mean nothing in MQTT 3.1 are passed over", async (t) => {
  const { connect, port } = await startBroker(t, { withoutHooks: true });
  const client = await RawClient.open(port, version);
  t.after(() => client.socket.destroy());
  sendHex(client, `11${hexConnect(version, { flags: "03" }).slice(2)}`);
  assert.equal((await client.next("connack")).reasonCode, 0);
  // SUBSCRIBE with DUP, as MQTT 3.1 sends it again, and with bits beyond the QoS.
  sendHex(client, hexPacket("8a", "0001", hexText("t"), "f9"));
  assert.deepEqual((await client.next("suback")).reasonCodes, [1]);
  const publisher = await connect("p", { version });
  await publisher.publishAcked("t", "x");
  const packet = await client.next("publish");
  assert.deepEqual([text(packet), packet.qos], ["x", 1]);
  sendHex(client, hexPacket("4f", packet.packetId?.toString(16).padStart(4, "0") ?? ""));
  publisher.publish("t", { qos: 2, payload: "y" });
  const { packetId } = await publisher.next("pubrec");
  // PUBREL and UNSUBSCRIBE with DUP.
  sendHex(publisher, hexPacket("6a", packetId.toString(16).padStart(4, "0")));
  await publisher.next("pubcomp");
  sendHex(client, hexPacket("aa", "0002", hexText("t")));
  assert.equal(text(await client.next("publish")), "y");
  await client.next("unsuback");
});

test("a session is resumed with what was queued, and CONNACK, which has no Session Present, says nothing of it", async (t) => {
  const { connect, connectPersistent } = await startBroker(t, { withoutHooks: true });
  const client = await connectPersistent("c", { version });
  await client.subscribe("t", { qos: 2 });
  await client.break();
  const publisher = await connect("p", { version });
  await publisher.publishAcked("t", "queued");
  const again = await connectPersistent("c", { version });
  assert.equal(again.connack?.sessionPresent, false);
  assert.equal(text(await again.next("publish")), "queued");
});
