// Slow, silent, broken and hostile clients: each is ended as the protocol says, and harms nobody else.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Broker } from "../../src/broker/broker.ts";
import { encodePacket } from "../../src/mqtt/codec/encoder.ts";
import { ReasonCode } from "../../src/mqtt/reason-code.ts";
import { startChild } from "../support/child.ts";
import { waitFor } from "../support/wait-for.ts";
import { loggerInto, startBroker } from "./broker-fixture.ts";
import { RawClient } from "./raw-client.ts";

const KIB = 1024;

test("a client that stops reading delays nobody, and what waits for it is bounded", async (t) => {
  const maxWriteBuffer = 64 * KIB;
  const { broker, connect } = await startBroker(t, { maxWriteBuffer, maxWriteBacklog: 1024 * KIB, maxMqueueLen: 50 });
  const publisher = await connect("pub");
  const slow = await connect("slow");
  await slow.subscribe("t/0", { qos: 0 });
  await slow.subscribe("t/1");
  const other = await connect("other");
  await other.subscribe("t/#", { qos: 0 });
  slow.socket.pause();
  const payload = Buffer.alloc(16 * KIB, 97);
  let sent = 0;
  while (broker.metrics.dropped.slowReader === 0 || broker.metrics.leftToStore === 0) {
    assert.ok(sent < 5000, "messages to a client that does not read are dropped in the end");
    publisher.publish("t/0", { qos: 0, payload });
    await publisher.publishAcked("t/1", "", { payload });
    sent += 2;
  }
  await waitFor(() => other.waiting.length === sent, { what: "the other client to get everything" });
  assert.equal(broker.metrics.slowReadersClosed, 0);
  // It reads on, and gets what was in flight and queued.
  const dropped = broker.metrics.leftToStore;
  slow.socket.resume();
  for (let received = 0; received < sent / 2 - dropped; ) {
    const packet = await slow.next("publish");
    if (packet.qos === 0) continue;
    received += 1;
    slow.puback(packet.packetId);
  }
  assert.deepEqual(await slow.ping(), []);
});

test("a client that asks without end and reads nothing is closed", async (t) => {
  const { broker, connect } = await startBroker(t, { maxWriteBuffer: 1024, maxWriteBacklog: 64 * KIB });
  const client = await connect("greedy", { version: 4 });
  client.socket.pause();
  const pings = Buffer.from(Array.from({ length: 32 * KIB }, (_, at) => (at % 2 === 0 ? 0xc0 : 0)));
  await waitFor(
    () => {
      if (!client.socket.destroyed) client.socket.write(pings);
      return broker.metrics.slowReadersClosed === 1;
    },
    { what: "the broker to close the client", interval: 1 },
  );
  assert.equal(broker.metrics.connections, 0);
});

test("MQTT 5: a client that is closed for reading too slowly is told so, should it read on", async (t) => {
  const { broker, connect } = await startBroker(t, { maxWriteBuffer: 1024, maxWriteBacklog: 64 * KIB });
  const client = await connect("greedy");
  client.socket.pause();
  const pings = Buffer.from(Array.from({ length: 32 * KIB }, (_, at) => (at % 2 === 0 ? 0xc0 : 0)));
  await waitFor(
    () => {
      if (!client.socket.destroyed) client.socket.write(pings);
      return broker.metrics.slowReadersClosed === 1;
    },
    { what: "the broker to close the client", interval: 1 },
  );
  client.socket.resume();
  await client.closed();
  const last = client.waiting.pop();
  assert.ok(last?.type === "disconnect");
  assert.equal(last.reasonCode, ReasonCode.QuotaExceeded);
  assert.ok(client.waiting.every(({ type }) => type === "pingresp"));
});

test("keep-alive: a silent client is closed after one and a half intervals, one that pings is not", async (t) => {
  const { connect } = await startBroker(t);
  const silent = await connect("silent", { keepAlive: 1 });
  const old = await connect("old", { keepAlive: 1, version: 4 });
  const pinging = await connect("pinging", { keepAlive: 1 });
  const since = performance.now();
  const after = (): number => performance.now() - since;
  while (!(silent.isClosed && old.isClosed) && after() < 10_000) await pinging.ping();
  assert.ok(silent.isClosed && old.isClosed && after() > 1400, `${after()} ms`);
  assert.equal((await silent.next("disconnect")).reasonCode, ReasonCode.KeepAliveTimeout);
  assert.equal(pinging.isClosed, false);
});

test("a connection without a CONNECT ends after the idle timeout", async (t) => {
  const { broker, port } = await startBroker(t, { idleTimeout: 0.2 });
  const silent = await RawClient.open(port);
  await silent.closed();
  const half = await RawClient.open(port);
  half.socket.write(Buffer.from([0x10, 0x20, 0x00]));
  await half.closed();
  assert.equal(broker.metrics.connections, 0);
});

test("packets that the protocol forbids end the connection with their reason", async (t) => {
  const { broker, connect, port } = await startBroker(t, { maxPacketSize: 1024, maxTopicLevels: 4 });
  const early = await RawClient.open(port);
  early.send({ type: "pingreq" });
  await early.closed();
  assert.deepEqual(early.waiting, []);

  const bytes: [string, Buffer, number][] = [
    ["malformed", Buffer.from([0x00, 0x00]), ReasonCode.MalformedPacket],
    ["auth", Buffer.from([0xf0, 0x00]), ReasonCode.ProtocolError],
    ["large", Buffer.from([0x30, 0xff, 0xff, 0x7f]), ReasonCode.PacketTooLarge],
    ["deep", encodePacket(early.publishPacket("1/2/3/4/5", { qos: 0 }), 5), ReasonCode.TopicNameInvalid],
    [
      "second connect",
      encodePacket({ type: "connect", version: 5, cleanStart: true, keepAlive: 0, clientId: "x" }, 5),
      ReasonCode.ProtocolError,
    ],
  ];
  for (const [clientId, packet, reasonCode] of bytes) {
    const client = await connect(clientId);
    client.socket.write(packet);
    assert.equal((await client.next("disconnect")).reasonCode, reasonCode, clientId);
    await client.closed();
    const old = await connect(clientId, { version: 4 });
    old.socket.write(packet);
    await old.closed();
    assert.deepEqual(old.waiting, []);
  }
  assert.equal(broker.metrics.connections, 0);
  assert.equal((await connect("fine")).connack?.reasonCode, 0);
});

test("a CONNECT that cannot be accepted is answered by its version's code", async (t) => {
  const { connect, port } = await startBroker(t);
  const method = await connect("c", { properties: { authenticationMethod: "SCRAM" } });
  assert.equal(method.connack?.reasonCode, ReasonCode.BadAuthenticationMethod);
  await method.closed();
  const future = await RawClient.open(port, 4);
  const connect5 = encodePacket({ type: "connect", version: 5, cleanStart: true, keepAlive: 0, clientId: "x" }, 5);
  connect5[8] = 6;
  future.socket.write(connect5);
  assert.equal((await future.next("connack")).reasonCode, 1);
  await future.closed();
  const malformed = await RawClient.open(port, 5);
  connect5[8] = 5;
  connect5[9] = 1;
  malformed.socket.write(connect5);
  assert.equal((await malformed.next("connack")).reasonCode, ReasonCode.MalformedPacket);
  await malformed.closed();
});

test("packets split and joined anywhere are read alike", async (t) => {
  const { connect } = await startBroker(t);
  const client = await connect("c");
  await client.subscribe("t", { qos: 0 });
  const packets = ["one", "two", "three"].map((payload) => client.publishPacket("t", { qos: 0, payload }));
  const bytes = Buffer.concat(packets.map((packet) => encodePacket(packet, 5)));
  for (const byte of bytes) client.socket.write(Buffer.from([byte]));
  client.socket.write(bytes);
  assert.deepEqual(await client.nextPayloads(6), ["one", "two", "three", "one", "two", "three"]);
});

test("a client that ends its side of the connection is gone", async (t) => {
  const { hooks, connect } = await startBroker(t);
  const client = await connect("c");
  client.publish("t", { payload: "last" });
  client.socket.end();
  await client.closed();
  await hooks.called("disconnected c");
  await hooks.called("routed last");
});

test("what is too large for a subscriber is dropped for it alone", async (t) => {
  const { broker, hooks, connect } = await startBroker(t);
  const publisher = await connect("pub");
  const small = await connect("small", { properties: { maximumPacketSize: 50 } });
  const large = await connect("large");
  for (const client of [small, large]) await client.subscribe("t");
  const fitting = "x".repeat(50 - 8);
  await publisher.publishAcked("t", `${fitting}x`);
  await large.nextPayloads(1);
  assert.deepEqual(await small.ping(), []);
  assert.equal(broker.metrics.dropped.tooLarge, 1);
  assert.ok(!hooks.calls.includes(`delivered small ${fitting}x qos1`));
  await publisher.publishAcked("t", fitting.slice(3));
  await small.nextPayloads(1);
});

test("more sockets than there is room for are closed at once", async (t) => {
  const log: Parameters<typeof loggerInto>[0] = [];
  const broker = new Broker({ options: { port: 0, maxConnections: 1 }, logger: loggerInto(log) });
  t.after(() => broker.stop());
  const port = (await broker.start()).mqtt?.port as number;
  const sockets: RawClient[] = [];
  t.after(() => {
    for (const client of sockets) client.socket.destroy();
  });
  for (let at = 0; at < 1002; at++) sockets.push(await RawClient.open(port));
  await sockets.at(-1)?.closed();
  assert.equal(broker.metrics.socketsRefused, 1);
  assert.equal(sockets.filter(({ isClosed }) => !isClosed).length, 1001);
});

test("a broker without file descriptors left goes on, and accepts again when some are free", async (t) => {
  const script = fileURLToPath(new URL("standalone-broker.ts", import.meta.url));
  const child = startChild(t, "sh", ["-c", `ulimit -n 40 && exec "${process.execPath}" "${script}"`]);
  const port = Number((await child.output(/^port (\d+)$/m))[1]);
  const held = await RawClient.connect(port, { clientId: "held" });
  const others: RawClient[] = [];
  t.after(() => {
    for (const client of [held, ...others]) client.socket.destroy();
  });
  for (let count = 0; count < 60; count++) others.push(await RawClient.open(port));
  await waitFor(() => others.some(({ isClosed }) => isClosed), { what: "connections to be shed" });
  await held.ping();
  for (const client of others) client.socket.destroy();
  // Until the broker has closed its ends of them, it goes on shedding.
  const late = await waitFor(() => RawClient.connect(port, { clientId: "late" }).catch(() => undefined), {
    what: "a connection that is accepted again",
  });
  others.push(late);
  await late.ping();
  assert.equal(child.over, false);
});
