// The load generator counts right against a real broker, and notices what is lost, repeated or out of order.

import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import test, { type TestContext } from "node:test";
import type { Address } from "../../bench/load/connection.ts";
import { Latencies } from "../../bench/load/latencies.ts";
import { PublishRing } from "../../bench/load/packets.ts";
import { LoadGenerator } from "../../bench/load-generator.ts";
import { Broker } from "../../src/broker/broker.ts";
import type { Logger } from "../../src/mqtt/logger.ts";
import { waitFor } from "../support/wait-for.ts";

const MESSAGES = 1_000;
const CONNACK = Buffer.from([0x20, 2, 0, 0]);
const SUBACK = Buffer.from([0x90, 3, 0, 1, 1]);

const nothing = (): void => {};
const logger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

async function startBroker(context: TestContext): Promise<{ broker: Broker; address: Address }> {
  const broker = new Broker({ options: { port: 0, maxMqueueLen: MESSAGES }, logger });
  const { mqtt } = await broker.start();
  context.after(() => broker.stop());
  assert.ok(mqtt);
  return { broker, address: mqtt as Address };
}

function startLoad(context: TestContext): LoadGenerator {
  const load = new LoadGenerator();
  context.after(() => load.stop());
  return load;
}

/** A server that answers each packet that comes as `answer` says. */
async function startServer(
  context: TestContext,
  answer: (firstByte: number, socket: Socket) => void,
): Promise<Address> {
  const server: Server = createServer((socket) => {
    socket.on("error", nothing);
    // The first packets of the load generator come one for each read.
    socket.on("data", (chunk: Buffer) => answer(chunk[0] as number, socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => server.close());
  const { port } = server.address() as { port: number };
  return { host: "127.0.0.1", port };
}

function publishers(address: Address) {
  return { address, publishers: 4, window: 10, topic: "bench/t", topicPerPublisher: true, payloadBytes: 32 };
}

test("publishes and receives exactly as many messages as it was told", async (context) => {
  const { broker, address } = await startBroker(context);
  const load = startLoad(context);
  const session = { kind: "receive", address, clientId: "receiver", clean: false } as const;

  await load.run({ ...session, topicFilter: "bench/#", messages: 0 });
  const published = await load.run({ kind: "publishCount", ...publishers(address), messages: MESSAGES });
  assert.equal(published.messages, MESSAGES);
  assert.ok(published.p50 > 0 && published.p50 <= published.p99, `p50 ${published.p50}, p99 ${published.p99}`);
  assert.equal(broker.metrics.messagesReceived[1], MESSAGES);

  const received = await load.run({ ...session, messages: MESSAGES });
  assert.equal(received.messages, MESSAGES);
  assert.deepEqual(received.disorder, { missing: 0, repeated: 0 });
  assert.equal(broker.metrics.messagesAcked, MESSAGES);
});

test("counts what is received live, and waits for the last messages", async (context) => {
  const { broker, address } = await startBroker(context);
  const load = startLoad(context);
  const job = { ...publishers(address), topicFilters: ["bench/#"], warmUp: 20, duration: 100 };
  const result = await load.run({ kind: "live", ...job });
  assert.ok(result.messages > 0);
  assert.ok(result.messages <= broker.metrics.messagesAcked);
  assert.deepEqual(result.disorder, { missing: 0, repeated: 0 });
  assert.equal(broker.metrics.messagesAcked, broker.metrics.messagesReceived[1]);
});

test("gives each receiver its own topic", async (context) => {
  const { broker, address } = await startBroker(context);
  const load = startLoad(context);
  const topicFilters = [0, 1, 2, 3].map((number) => `bench/t/${number}`);
  const job = { ...publishers(address), topicFilters, warmUp: 20, duration: 100 };
  const result = await load.run({ kind: "live", ...job });
  assert.ok(result.messages > 0);
  assert.deepEqual(result.disorder, { missing: 0, repeated: 0 });
  assert.equal(broker.metrics.messagesSent[1], broker.metrics.messagesReceived[1]);
});

test("keeps idle clients connected until it is told to let them go, and notices when one is lost", async (context) => {
  const { broker, address } = await startBroker(context);
  const load = startLoad(context);
  await load.run({ kind: "connectIdle", address, clients: 20 });
  const { messages } = await load.run({ kind: "connectIdle", address, clients: 130 });
  assert.equal(messages, 130);
  assert.equal(broker.metrics.connections, 150);
  await load.run({ kind: "disconnectIdle" });
  await waitFor(() => broker.metrics.connections === 0 && broker.metrics.sessions === 0, { what: "no clients" });

  await load.run({ kind: "connectIdle", address, clients: 1 });
  await broker.stop();
  await assert.rejects(load.run({ kind: "disconnectIdle" }), /bench-idle-0/);
});

test("leaves sessions with a subscription each", async (context) => {
  const { broker, address } = await startBroker(context);
  const load = startLoad(context);
  const { messages } = await load.run({ kind: "leaveSessions", address, sessions: 150, prefix: "left" });
  assert.equal(messages, 150);
  await waitFor(() => broker.metrics.connections === 0, { what: "no connections" });
  assert.equal(broker.metrics.sessions, 150);
  assert.equal(broker.metrics.subscriptions, 150);
});

test("notices messages that are passed over or repeated", async (context) => {
  const ring = new PublishRing({ topic: "bench/t", publisher: 0, count: 5, payloadBytes: 32 });
  for (const [slot, sequence] of [0, 2, 1, 2, 4].entries()) ring.setSequence(slot, sequence);
  const address = await startServer(context, (firstByte, socket) => {
    if (firstByte === 0x10) socket.write(CONNACK);
    if (firstByte === 0x82) {
      socket.write(SUBACK);
      // In pieces that end within a packet.
      socket.write(ring.bytes.subarray(0, 50));
      setImmediate(() => socket.write(ring.bytes.subarray(50)));
    }
    if (firstByte === 0xe0) socket.end();
  });
  const load = startLoad(context);
  const job = { kind: "receive", address, clientId: "receiver", clean: true, topicFilter: "bench/t" } as const;
  const result = await load.run({ ...job, messages: 5 });
  assert.deepEqual(result.disorder, { missing: 2, repeated: 2 });
});

test("rejects when the broker acknowledges out of order", async (context) => {
  const address = await startServer(context, (firstByte, socket) => {
    socket.write(firstByte === 0x10 ? CONNACK : Buffer.from([0x40, 2, 0, 2, 0x40, 2, 0, 1]));
  });
  const load = startLoad(context);
  const job = { ...publishers(address), publishers: 1, window: 2, messages: 2 };
  await assert.rejects(load.run({ kind: "publishCount", ...job }), /identifier 2 instead of PUBACK 1/);
});

test("rejects when the broker refuses or closes the connection", async (context) => {
  const load = startLoad(context);
  const refusing = await startServer(context, (_, socket) => socket.write(Buffer.from([0x20, 2, 0, 5])));
  const closing = await startServer(context, (firstByte, socket) => {
    if (firstByte === 0x10) socket.write(CONNACK);
    else socket.destroy();
  });
  const count = { kind: "publishCount", messages: 10 } as const;
  await assert.rejects(load.run({ ...count, ...publishers(refusing) }), /refused CONNECT with 5/);
  await assert.rejects(load.run({ ...count, ...publishers(closing) }), /closed the connection/);
});

test("tells latencies to about one percent", () => {
  const latencies = new Latencies();
  for (let milliseconds = 1; milliseconds <= 100; milliseconds++) latencies.record(milliseconds);
  assert.ok(Math.abs(latencies.percentile(0.5) - 50) < 1, `${latencies.percentile(0.5)}`);
  assert.ok(Math.abs(latencies.percentile(0.99) - 99) < 2, `${latencies.percentile(0.99)}`);
  latencies.clear();
  assert.equal(latencies.percentile(0.5), 0);
});
