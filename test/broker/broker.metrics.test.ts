// What the broker counts: gauges come back to zero, and counters say what happened.

import assert from "node:assert/strict";
import { test } from "node:test";
import { waitFor } from "../support/wait-for.ts";
import { startBroker } from "./broker-fixture.ts";

test("queued and in flight are counted over all sessions, through breaks, until the session ends", async (t) => {
  const { broker, connect, connectPersistent } = await startBroker(t, { withoutHooks: true, maxInflight: 2 });
  const { metrics } = broker;
  const held = (): number[] => [metrics.inflight, metrics.queued, metrics.queuedBytes];
  const publisher = await connect("pub");
  const [one, two] = [await connectPersistent("one"), await connectPersistent("two")];
  for (const client of [one, two]) await client.subscribe("t");
  for (const payload of ["1234", "1234", "1234", "1234", "1234"]) await publisher.publishAcked("t", payload);
  // Two sessions with two in flight and three of five bytes (topic and payload) behind them.
  assert.deepEqual(held(), [4, 6, 30]);
  one.puback((await one.next("publish")).packetId);
  await one.ping();
  assert.deepEqual(held(), [4, 5, 25]);
  await one.break();
  await waitFor(() => metrics.connections === 2, { what: "the end of the connection" });
  assert.deepEqual(held(), [4, 5, 25]);
  const again = await connectPersistent("one");
  assert.deepEqual(held(), [4, 5, 25]);
  // Clean Start ends the session with what it held.
  const fresh = await connect("one");
  assert.deepEqual(held(), [2, 3, 15]);
  await again.closed();
  two.send({ type: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 0 } });
  await two.closed();
  await waitFor(() => metrics.sessions === 2, { what: "the end of the session" });
  assert.deepEqual(held(), [0, 0, 0]);
  await fresh.disconnect();
  const { sessionsCreated, sessionsResumed, sessionsDiscarded, sessionsTerminated, takeovers } = metrics;
  assert.deepEqual(
    { sessionsCreated, sessionsResumed, sessionsDiscarded, sessionsTerminated, takeovers },
    { sessionsCreated: 4, sessionsResumed: 1, sessionsDiscarded: 1, sessionsTerminated: 3, takeovers: 1 },
  );
});

test("what the queue's limit drops, and what is taken out for others, is no longer counted", async (t) => {
  const { broker, connect, connectPersistent } = await startBroker(t, { withoutHooks: true, maxMqueueLen: 2 });
  const { metrics } = broker;
  const client = await connectPersistent("c");
  await client.subscribe("t");
  const member = await connectPersistent("m");
  await member.subscribe("$share/g/s");
  for (const gone of [client, member]) await gone.break();
  await waitFor(() => metrics.connections === 0, { what: "the end of both" });
  const publisher = await connect("pub");
  for (const topic of ["t", "t", "t", "s"]) await publisher.publishAcked(topic, "x");
  assert.deepEqual([metrics.queued, metrics.dropped.queueFull], [3, 1]);
  // Another member comes, and the first one's session ends: what waited there goes to the other.
  const other = await connect("other");
  await other.subscribe("$share/g/s");
  await (await connect("m")).disconnect();
  await other.nextPayloads(1);
  assert.deepEqual([metrics.queued, metrics.inflight], [2, 1]);
});

test("subscriptions, shared ones and topics go up and down", async (t) => {
  const { broker, connect } = await startBroker(t, { withoutHooks: true });
  const { metrics } = broker;
  const counted = (): number[] => {
    return [metrics.subscriptions, metrics.sharedSubscriptions, metrics.sysSubscriptions, metrics.topics];
  };
  const [one, two] = [await connect("one"), await connect("two")];
  for (const client of [one, two]) {
    for (const filter of ["a", "a", "b/+", "$share/g/a", "$share/g/b/#", "$share/g/$SYS/x"])
      await client.subscribe(filter);
  }
  assert.deepEqual(counted(), [10, 6, 2, 4]);
  await one.unsubscribe("b/+");
  await two.unsubscribe("b/+");
  assert.deepEqual(counted(), [8, 6, 2, 3]);
  await one.disconnect();
  await two.disconnect();
  await waitFor(() => metrics.sessions === 0, { what: "the end of both sessions" });
  assert.deepEqual(counted(), [0, 0, 0, 0]);
  metrics.noteHighest();
  assert.equal(metrics.highest.connections, 0, "nobody looked while there was one");
});

test("payload bytes, sockets and clients are counted", async (t) => {
  const { broker, connect } = await startBroker(t, { withoutHooks: true });
  const { metrics } = broker;
  const client = await connect("c");
  await client.subscribe("t", { qos: 0 });
  for (const payload of ["four", "fifth"]) await client.publishAcked("other", payload);
  client.publish("t", { qos: 0, payload: "123" });
  await client.nextPayloads(1);
  assert.deepEqual([metrics.publishBytesReceived, metrics.publishBytesSent], [12, 3]);
  await client.disconnect();
  await waitFor(() => metrics.connections === 0, { what: "the end" });
  assert.deepEqual([metrics.socketsAccepted, metrics.clientsConnected, metrics.clientsDisconnected], [1, 1, 1]);
});
