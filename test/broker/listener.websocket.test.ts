// MQTT over WebSocket: what is upgraded, frames however they are cut, back-pressure, limits and ends.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { type TestContext, test } from "node:test";
import type { BrokerOptions, WebSocketOptions } from "../../src/broker/options.ts";
import { encodePacket } from "../../src/mqtt/codec/encoder.ts";
import type { ListenAddress } from "../../src/mqtt/listen.ts";
import { ReasonCode } from "../../src/mqtt/reason-code.ts";
import { waitFor, within } from "../support/wait-for.ts";
import { startBroker } from "./broker-fixture.ts";
import { RawClient, text } from "./raw-client.ts";
import { connectBytes, refusedWith, WebSocketClient } from "./websocket-client.ts";

const KIB = 1024;
const websocket: WebSocketOptions = {
  mqttPath: "/mqtt",
  maxFrameSize: 4096 * KIB,
  checkOriginEnable: true,
  checkOrigins: ["https://example.org"],
};

async function startWebSocketBroker(
  t: TestContext,
  { frames, ...options }: Partial<BrokerOptions> & { frames?: Partial<WebSocketOptions> } = {},
) {
  const ws = { host: "127.0.0.1", port: 0, websocket: { ...websocket, ...frames } };
  const fixture = await startBroker(t, { ...options, ws });
  const { port } = fixture.addresses.ws as ListenAddress;
  const base = `ws://127.0.0.1:${port}`;
  return { ...fixture, wsPort: port, base, url: `${base}/mqtt` };
}

const publish = (payload: string, packetId = 1) =>
  encodePacket(
    { type: "publish", topic: "t", qos: 1, packetId, retain: false, dup: false, payload: Buffer.from(payload) },
    5,
  );

test("only the MQTT path, an MQTT subprotocol and known origins are upgraded", async (t) => {
  const { base, url, wsPort, log } = await startWebSocketBroker(t);
  assert.equal(await refusedWith(`${base}/other`, ["mqtt"]), 404);
  assert.equal(await refusedWith(`${base}/mqtt/`, ["mqtt"]), 404);
  assert.equal(await refusedWith(url, []), 400);
  assert.equal(await refusedWith(url, ["amqp"]), 400);
  assert.equal(await refusedWith(url, ["mqtt"], { origin: "https://evil.example" }), 403);
  assert.equal(await refusedWith(url, ["mqtt"], { origin: "null" }), 403);
  assert.equal(await refusedWith(url, ["mqtt"], { origin: "http://localhost.evil.example" }), 403);
  assert.equal(log.filter(({ level, message }) => level === "warn" && /check_origins/.test(message)).length, 1);
  for (const origin of ["https://example.org", "http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080"]) {
    assert.equal(await refusedWith(url, ["mqtt"], { origin }), 101, origin);
  }
  for (const [path, status] of [["/mqtt?x=1", 426] as const, ["/", 404] as const]) {
    const [response] = await within(once(request({ port: wsPort, path, host: "127.0.0.1" }).end(), "response"), {
      what: "an answer",
    });
    response.resume();
    assert.equal(response.statusCode, status);
  }
});

test("every origin may connect once that is allowed", async (t) => {
  const { url } = await startWebSocketBroker(t, { frames: { checkOriginEnable: false } });
  assert.equal(await refusedWith(url, ["mqtt"], { origin: "https://evil.example" }), 101);
});

test("the subprotocol that was offered is told, and nothing is compressed", async (t) => {
  const { url } = await startWebSocketBroker(t);
  for (const [offered, chosen] of [
    [["mqtt"], "mqtt"],
    [["mqttv3.1"], "mqttv3.1"],
    [["other", "mqttv3.1", "mqtt"], "mqtt"],
  ] as const) {
    const { webSocket } = await WebSocketClient.open(`${url}?token=1`, offered);
    assert.equal(webSocket.protocol, chosen);
    assert.equal(webSocket.extensions, "");
    webSocket.terminate();
  }
});

test("[MQTT-6.0.0-2] frames split and join packets anywhere", async (t) => {
  const { url, hooks } = await startWebSocketBroker(t);
  const bytes = Buffer.concat([connectBytes(), publish("one"), publish("two", 2)]);
  const cuts: [name: string, frames: Uint8Array[]][] = [
    ["one frame", [bytes]],
    ["a frame for each byte", Array.from(bytes, (byte) => Buffer.from([byte]))],
    ["empty frames between", Array.from(bytes, (byte) => [Buffer.alloc(0), Buffer.from([byte])]).flat()],
  ];
  for (let at = 1; at < bytes.length; at++) cuts.push([`cut at ${at}`, [bytes.subarray(0, at), bytes.subarray(at)]]);
  for (const [name, frames] of cuts) {
    for (const isOneMessage of [false, true]) {
      const before = hooks.published.length;
      const client = await WebSocketClient.open(url);
      for (const [index, frame] of frames.entries()) {
        client.webSocket.send(frame, { fin: !isOneMessage || index === frames.length - 1 });
      }
      await client.next("connack");
      assert.equal((await client.next("puback")).packetId, 1, name);
      assert.equal((await client.next("puback")).packetId, 2, name);
      const payloads = hooks.published.slice(before).map(({ payload }) => Buffer.from(payload).toString());
      assert.deepEqual(payloads, ["one", "two"], name);
      client.webSocket.terminate();
    }
  }
});

test("what is sent in the same breath as the handshake, cut at every byte of the frames, is not lost", async (t) => {
  const { wsPort } = await startWebSocketBroker(t);
  const handshake =
    "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
  // Masked with zeros: header, mask, payload.
  const connect = connectBytes();
  const frames = Buffer.concat([
    Buffer.from([0x82, 0x80 | connect.length, 0, 0, 0, 0]),
    connect,
    Buffer.from([0x89, 0x80 | 2, 0, 0, 0, 0, 0x68, 0x69]),
  ]);
  for (let at = 0; at <= frames.length; at++) {
    const { socket } = await RawClient.open(wsPort);
    socket.removeAllListeners("data");
    let received = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
    });
    const answered = (what: Buffer) => waitFor(() => received.includes(what), { what: `the answer, cut at ${at}` });
    socket.write(Buffer.concat([Buffer.from(handshake), frames.subarray(0, at)]));
    await answered(Buffer.from("101 Switching Protocols"));
    socket.write(frames.subarray(at));
    // CONNACK in a binary frame, and the pong with the text of the ping.
    await answered(Buffer.from([0x8a, 2, 0x68, 0x69]));
    await waitFor(() => received.some((byte, index) => byte === 0x82 && received[index + 2] === 0x20), {
      what: "CONNACK",
    });
    socket.destroy();
  }
});

test("[MQTT-6.0.0-1] a text frame closes the connection, and the will is published", async (t) => {
  const { broker, url, connect } = await startWebSocketBroker(t);
  const watcher = await connect("watcher");
  await watcher.subscribe("will");
  const will = { topic: "will", payload: Buffer.from("gone"), qos: 1, retain: false } as const;
  const client = await WebSocketClient.connect(url, { will });
  client.webSocket.send("text");
  client.webSocket.send(publish("not any more"));
  assert.equal(await client.closed(), 1003);
  assert.equal(text(await watcher.next("publish")), "gone");
  assert.equal(broker.metrics.connections, 1);
});

test("a frame above the limit closes the connection, one that holds the largest packet does not", async (t) => {
  const { url } = await startWebSocketBroker(t, { maxPacketSize: 64 * KIB, frames: { maxFrameSize: KIB } });
  const client = await WebSocketClient.connect(url);
  client.webSocket.send(publish("x".repeat(60 * KIB)));
  await client.next("puback");
  client.webSocket.send(Buffer.alloc(64 * KIB + 1));
  assert.equal(await client.closed(), 1009);
  const inPieces = await WebSocketClient.connect(url);
  for (let at = 0; at < 5000; at++) inPieces.webSocket.send(Buffer.alloc(0), { fin: false });
  assert.equal(await inPieces.closed(), 1008);
});

test("a client that stops reading is dropped from, not kept for; it goes on when it reads again", async (t) => {
  const maxWriteBacklog = 1024 * KIB;
  const limits = { maxWriteBuffer: 64 * KIB, maxWriteBacklog, maxMqueueLen: 50 };
  const { broker, url, connect } = await startWebSocketBroker(t, limits);
  const publisher = await connect("pub");
  const slow = await WebSocketClient.connect(url, { clientId: "slow" });
  const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  slow.send({ type: "subscribe", packetId: 1, subscriptions: [{ topicFilter: "t", qos: 0, ...options }] });
  await slow.next("suback");
  slow.webSocket.pause();
  const payload = Buffer.alloc(16 * KIB, 97);
  let sent = 0;
  for (; broker.metrics.dropped.slowReader < 10; sent++) {
    assert.ok(sent < 5000, "messages to a client that does not read are dropped in the end");
    await publisher.publishAcked("t", "", { payload });
  }
  assert.equal(broker.metrics.slowReadersClosed, 0);
  slow.webSocket.resume();
  await waitFor(() => slow.waiting.length === sent - 10, { what: "what was not dropped" });
  await publisher.publishAcked("t", "last");
  await waitFor(() => slow.waiting.length === sent - 9, { what: "the last message" });
});

test("a client that asks without end and reads nothing is closed", async (t) => {
  const { broker, url } = await startWebSocketBroker(t, { maxWriteBuffer: 1024, maxWriteBacklog: 64 * KIB });
  const client = await WebSocketClient.connect(url);
  client.webSocket.pause();
  const pings = Buffer.from(Array.from({ length: 32 * KIB }, (_, at) => (at % 2 === 0 ? 0xc0 : 0)));
  await waitFor(
    () => {
      if (client.webSocket.bufferedAmount < 1024 * KIB) client.webSocket.send(pings);
      return broker.metrics.slowReadersClosed === 1;
    },
    { what: "the broker to close the client", interval: 1 },
  );
  assert.equal(broker.metrics.connections, 0);
  client.webSocket.resume();
  await client.closed();
});

test("the broker stops reading at the Receive Maximum, and goes on from there", async (t) => {
  const { broker, hooks, url } = await startWebSocketBroker(t, { receiveMaximum: 2 });
  hooks.answer = () => "later";
  const client = await WebSocketClient.connect(url, { version: 4 });
  const total = 200;
  const size = 64 * KIB;
  const payloadOf = (id: number): string => `${id} `.padEnd(size, "a");
  for (let id = 1; id <= total; id++) {
    const packet = { type: "publish", topic: "t", qos: 1, packetId: id, retain: false, dup: false } as const;
    client.webSocket.send(encodePacket({ ...packet, payload: Buffer.from(payloadOf(id)) }, 4));
  }
  await hooks.waiting(2);
  let before = -1;
  await waitFor(
    () => {
      const isStill = broker.metrics.bytesReceived === before && client.webSocket.bufferedAmount > 0;
      before = broker.metrics.bytesReceived;
      return isStill;
    },
    { what: "the broker to stop reading", interval: 50 },
  );
  assert.ok(before < (total / 2) * size, `${before} bytes were read`);
  hooks.answer = () => "stored";
  hooks.settle(payloadOf(1));
  hooks.settle(payloadOf(2));
  await waitFor(() => hooks.published.length === total, { what: "all publishes" });
});

test("a client that never shakes hands, or never connects, ends after the idle timeout", async (t) => {
  const { wsPort, url } = await startWebSocketBroker(t, { idleTimeout: 0.2 });
  const silent = await RawClient.open(wsPort);
  const half = await RawClient.open(wsPort);
  // Node answers with HTTP.
  for (const { socket } of [silent, half]) socket.removeAllListeners("data").resume();
  half.socket.write("GET /mqtt HTTP/1.1\r\nHost: x\r\n");
  const upgraded = await WebSocketClient.open(url);
  await silent.closed();
  await half.closed();
  assert.equal(await upgraded.closed(), 1006);
});

test("a client that says goodbye and keeps its connection open is ended", async (t) => {
  const { broker, url } = await startWebSocketBroker(t);
  const client = await WebSocketClient.connect(url);
  // A close frame, masked with zeros, of code 1000; ws would end the connection itself.
  client.socket.removeAllListeners("data").resume();
  client.socket.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]));
  await waitFor(() => broker.metrics.connections === 0, { what: "the end" });
});

test("more sockets than there is room for are closed at once", async (t) => {
  const { broker, wsPort, log } = await startWebSocketBroker(t, { maxConnections: 1 });
  const clients: RawClient[] = [];
  t.after(() => {
    for (const { socket } of clients) socket.destroy();
  });
  for (let at = 0; at < 1002; at++) clients.push(await RawClient.open(wsPort));
  await clients.at(-1)?.closed();
  assert.equal(clients.filter(({ isClosed }) => !isClosed).length, 1001);
  assert.equal(broker.metrics.socketsRefused, 1);
  assert.ok(log.some(({ level }) => level === "warn"));
});

test("a broker that stops tells MQTT 5 clients, closes properly, and drops whoever has not shaken hands", async (t) => {
  const { broker, url, wsPort } = await startWebSocketBroker(t);
  const client = await WebSocketClient.connect(url);
  const silent = await RawClient.open(wsPort);
  await broker.stop();
  assert.equal((await client.next("disconnect")).reasonCode, ReasonCode.ServerShuttingDown);
  assert.equal(await client.closed(), 1000);
  await silent.closed();
});
