// Catching up: the plugin delivers stored messages while the router holds live ones back, merged in publish order.

import assert from "node:assert/strict";
import { test } from "node:test";
import { waitFor } from "../support/wait-for.ts";
import { startBroker } from "./broker-fixture.ts";

test("while a subscription catches up, stored messages are missed, and others are pushed as usual", async (t) => {
  const { broker, hooks, connect } = await startBroker(t);
  hooks.onSubscribed = () => broker.host.beginCatchUp({ clientId: "sub", topicFilter: "t/#" }, true);
  const publisher = await connect("pub");
  const subscriber = await connect("sub");
  await subscriber.subscribe("t/#");
  assert.equal(await publisher.publishAcked("t/a", "stored"), 0);
  hooks.answer = () => "pass";
  await publisher.publishAcked("t/b", "passed");
  publisher.publish("t/c", { qos: 0, payload: "zero" });
  assert.deepEqual(await subscriber.nextPayloads(2), ["passed", "zero"]);
  assert.deepEqual(await subscriber.ping(), []);
  assert.ok(hooks.calls.includes("routed stored missed sub t/#"));

  assert.equal(broker.host.deliver("sub", "t/#", hooks.message("stored")), "taken");
  assert.ok(hooks.calls.includes("delivered sub stored qos1"));
  broker.host.goLive({ clientId: "sub", topicFilter: "t/#" });
  hooks.answer = () => "stored";
  await publisher.publishAcked("t/a", "live");
  assert.deepEqual(await subscriber.nextPayloads(2), ["stored", "live"]);
  assert.ok(hooks.calls.includes("routed live"));
});

test("what the queue held goes out between delivered messages by id; a delivered copy replaces a held one", async (t) => {
  const { broker, hooks, connect, connectPersistent } = await startBroker(t, { maxInflight: 2 });
  const publisher = await connect("pub");
  const first = await connectPersistent("sub");
  await first.subscribe("t");
  for (let at = 1; at <= 8; at++) await publisher.publishAcked("t", String(at));
  await first.nextPayloads(2);
  await first.break();
  await hooks.called("disconnected sub");
  await publisher.publishAcked("t", "9");

  // As if the queue had overflowed: 3, 5 and 6 are only in the store, the others in the session.
  hooks.onConnected = () => broker.host.beginCatchUp({ clientId: "sub", topicFilter: "t" }, true);
  const second = await connectPersistent("sub");
  assert.deepEqual(await second.nextPayloads(2), ["1", "2"]);
  const pending = hooks.connected.at(-1)?.pending.map(({ payload }) => Buffer.from(payload).toString());
  assert.deepEqual(pending, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
  await publisher.publishAcked("t", "10");
  assert.ok(hooks.calls.includes("routed 10 missed sub t"));
  for (const payload of ["5", "10"]) {
    assert.equal(broker.host.deliver("sub", "t", hooks.message(payload)), "taken");
  }
  broker.host.goLive({ clientId: "sub", topicFilter: "t" });
  await publisher.publishAcked("t", "11");
  second.puback(1);
  second.puback(2);
  const received: string[] = [];
  for (let count = 0; count < 9; count++) {
    const packet = await second.next("publish");
    received.push(Buffer.from(packet.payload).toString());
    second.puback(packet.packetId);
  }
  assert.deepEqual(received, ["3", "4", "5", "6", "7", "8", "9", "10", "11"]);
  assert.deepEqual(await second.ping(), []);
});

for (const [first, second] of [
  ["t/#", "t/1"],
  ["t/1", "t/#"],
] as const) {
  test(`overlapping subscriptions hold back together: delivered under ${first}, then ${second} goes live`, async (t) => {
    const { broker, hooks, connect, connectPersistent } = await startBroker(t, { maxInflight: 2 });
    const publisher = await connect("pub");
    const away = await connectPersistent("sub");
    for (const filter of ["t/#", "t/1", "t/2"]) await away.subscribe(filter);
    await away.disconnect();
    await hooks.called("disconnected sub");
    for (let at = 1; at <= 9; at++) await publisher.publishAcked(at % 3 === 0 ? "t/2" : "t/1", String(at));
    const targets = ["t/#", "t/1", "t/2"].map((topicFilter) => ({ clientId: "sub", topicFilter }));
    hooks.onConnected = () => {
      for (const target of targets) broker.host.beginCatchUp(target, true);
    };
    const back = await connectPersistent("sub");
    assert.deepEqual(await back.ping(), []);
    // Each is held under one of the subscriptions: 5 replaces its copy there, and what is older of its topic goes first.
    broker.host.deliver("sub", first, hooks.message("5"));
    broker.host.deliver("sub", second, hooks.message("7"));
    broker.host.goLive({ clientId: "sub", topicFilter: "t/1" });
    await publisher.publishAcked("t/1", "10");
    broker.host.goLive({ clientId: "sub", topicFilter: "t/2" });
    await publisher.publishAcked("t/2", "11");
    broker.host.goLive({ clientId: "sub", topicFilter: "t/#" });
    const received: Record<string, string[]> = { "t/1": [], "t/2": [] };
    for (let count = 0; count < 11; count++) {
      const packet = await back.next("publish");
      received[packet.topic]?.push(Buffer.from(packet.payload).toString());
      back.puback(packet.packetId);
    }
    assert.deepEqual(received, { "t/1": ["1", "2", "4", "5", "7", "8", "10"], "t/2": ["3", "6", "9", "11"] });
    assert.deepEqual(await back.ping(), []);
  });
}

test("the end of the connection ends the catch-up: what was held is in the queue again, in publish order", async (t) => {
  const { broker, hooks, connect, connectPersistent } = await startBroker(t, { maxInflight: 1 });
  const publisher = await connect("pub");
  const first = await connectPersistent("sub");
  await first.subscribe("t");
  await first.subscribe("u");
  for (let at = 1; at <= 3; at++) await publisher.publishAcked("t", `t${at}`);
  broker.host.beginCatchUp({ clientId: "sub", topicFilter: "t" }, true);
  await publisher.publishAcked("u", "u4");
  await publisher.publishAcked("t", "t5");
  await first.break();
  await hooks.called("disconnected sub");
  await publisher.publishAcked("t", "t6");
  const second = await connectPersistent("sub");
  const received: string[] = [];
  for (let count = 0; count < 5; count++) {
    const packet = await second.next("publish");
    received.push(Buffer.from(packet.payload).toString());
    second.puback(packet.packetId);
  }
  // t5 was missed: the plugin has it to deliver. t6 was queued, since nothing catches up any more.
  assert.deepEqual(received, ["t1", "t2", "t3", "u4", "t6"]);
});

test("without holdQueue the queue goes out ahead of what is replayed", async (t) => {
  const { broker, hooks, connect } = await startBroker(t, { maxInflight: 1 });
  const publisher = await connect("pub");
  await publisher.publishAcked("t", "0");
  const subscriber = await connect("sub");
  await subscriber.subscribe("t");
  for (const payload of ["1", "2"]) await publisher.publishAcked("t", payload);
  broker.host.beginCatchUp({ clientId: "sub", topicFilter: "t" }, false);
  broker.host.deliver("sub", "t", hooks.message("0"));
  const received: string[] = [];
  for (let count = 0; count < 3; count++) {
    const packet = await subscriber.next("publish");
    received.push(Buffer.from(packet.payload).toString());
    subscriber.puback(packet.packetId);
  }
  assert.deepEqual(received, ["1", "2", "0"]);
});

test("held messages count against the queue's limit, delivered ones do not", async (t) => {
  const { broker, hooks, connect } = await startBroker(t, { maxInflight: 1, maxMqueueLen: 3 });
  const publisher = await connect("pub");
  const subscriber = await connect("sub");
  await subscriber.subscribe("t");
  await subscriber.subscribe("u");
  for (let at = 0; at < 4; at++) await publisher.publishAcked("t", `t${at}`);
  broker.host.beginCatchUp({ clientId: "sub", topicFilter: "t" }, true);
  hooks.answer = () => "pass";
  await publisher.publishAcked("u", "u0");
  assert.equal(broker.metrics.dropped.queueFull, 1);
  for (let at = 0; at < 10; at++) {
    const message = { ...hooks.message("t3"), id: broker.ids.next() };
    assert.equal(broker.host.deliver("sub", "t", message), "taken");
  }
  assert.equal(broker.metrics.dropped.queueFull, 1);
});

test("a dropped delivery may begin a catch-up from within its hook", async (t) => {
  const { broker, hooks, connect } = await startBroker(t, { maxInflight: 1, maxMqueueLen: 2 });
  hooks.onDropped = (clientId, topicFilter) => broker.host.beginCatchUp({ clientId, topicFilter }, true);
  const publisher = await connect("pub");
  const subscriber = await connect("sub");
  await subscriber.subscribe("t");
  for (let at = 1; at <= 5; at++) await publisher.publishAcked("t", String(at));
  assert.ok(hooks.calls.includes("dropped sub t 4 queue_full"));
  assert.ok(hooks.calls.includes("routed 5 missed sub t"));
  for (const payload of ["4", "5"]) broker.host.deliver("sub", "t", hooks.message(payload));
  broker.host.goLive({ clientId: "sub", topicFilter: "t" });
  const received: string[] = [];
  for (let count = 0; count < 5; count++) {
    const packet = await subscriber.next("publish");
    received.push(Buffer.from(packet.payload).toString());
    subscriber.puback(packet.packetId);
  }
  assert.deepEqual(received, ["1", "2", "3", "4", "5"]);
});

test("the plugin may deliver from within an acknowledgement, and order is kept", async (t) => {
  const { broker, hooks, connect } = await startBroker(t, { maxInflight: 2 });
  const publisher = await connect("pub");
  for (let at = 1; at <= 20; at++) await publisher.publishAcked("t", String(at));
  const backlog = hooks.published.slice();
  const deliverNext = (): void => {
    const message = backlog.shift();
    if (message !== undefined) broker.host.deliver("sub", "t", message);
  };
  hooks.onAcked = deliverNext;
  const subscriber = await connect("sub");
  hooks.onSubscribed = () => broker.host.beginCatchUp({ clientId: "sub", topicFilter: "t" }, true);
  await subscriber.subscribe("t");
  for (let count = 0; count < 5; count++) deliverNext();
  for (let at = 1; at <= 20; at++) {
    const packet = await subscriber.next("publish");
    assert.equal(Buffer.from(packet.payload).toString(), String(at));
    subscriber.puback(packet.packetId);
  }
});

test("deliver: QoS, Retain As Published, sizes, and clients that are gone", async (t) => {
  const { broker, hooks, connect, connectPersistent } = await startBroker(t);
  const { host } = broker;
  const publisher = await connect("pub");
  await publisher.publishAcked("t", "one", { retain: true, properties: { contentType: "text/plain" } });
  const message = hooks.message("one");
  assert.equal(host.deliver("nobody", "t", message), "gone");
  const subscriber = await connectPersistent("sub", { properties: { maximumPacketSize: 60 } });
  assert.equal(host.deliver("sub", "t", message), "gone");
  await subscriber.subscribe("t", { qos: 2, retainHandling: 2 }, 5);
  await subscriber.subscribe("#", { qos: 1, retainAsPublished: true, retainHandling: 2 });
  assert.equal(host.deliver("sub", "t", message), "taken");
  assert.equal(host.deliver("sub", "#", message), "taken");
  const plain = await subscriber.next("publish");
  assert.deepEqual([plain.qos, plain.retain, plain.dup], [1, false, false]);
  assert.deepEqual(plain.properties, { contentType: "text/plain", subscriptionIdentifiers: [5] });
  assert.equal((await subscriber.next("publish")).retain, true);
  const large = { ...message, payload: Buffer.alloc(60) };
  assert.equal(host.deliver("sub", "t", large), "too_large");
  assert.equal(broker.metrics.dropped.tooLarge, 1);
  await subscriber.break();
  await hooks.called("disconnected sub");
  assert.equal(host.deliver("sub", "t", message), "gone");
});

test("QoS 0 deliveries of QoS 1 messages are told when they are written; retained ones when they are taken on", async (t) => {
  const { broker, hooks, connect } = await startBroker(t);
  const publisher = await connect("pub");
  await publisher.publishAcked("t", "retained", { retain: true });
  const subscriber = await connect("sub");
  await subscriber.subscribe("t", { qos: 0 });
  assert.ok(hooks.calls.includes("delivered sub retained qos0 retained"));
  await publisher.publishAcked("t", "live");
  await hooks.called("delivered sub live qos0");
  broker.host.deliver("sub", "t", { ...hooks.message("live"), id: broker.ids.next() });
  await hooks.called("delivered sub live qos0", 2);
  publisher.publish("t", { qos: 0, payload: "zero" });
  assert.deepEqual(await subscriber.nextPayloads(4), ["retained", "live", "live", "zero"]);
  assert.equal(hooks.calls.filter((call) => call.startsWith("delivered")).length, 3);
});

test("an expired message that is delivered is dropped and done with", async (t) => {
  const { broker, hooks, connect } = await startBroker(t);
  const publisher = await connect("pub");
  await publisher.publishAcked("t", "old");
  const subscriber = await connect("sub");
  await subscriber.subscribe("t");
  const expired = { ...hooks.message("old"), expiresAt: Date.now() - 1 };
  assert.equal(broker.host.deliver("sub", "t", expired), "taken");
  assert.deepEqual(hooks.calls.slice(-1), ["delivered sub old qos1"]);
  await hooks.called("acked sub old");
  assert.deepEqual(await subscriber.ping(), []);
});

test("stored subscriptions are restored once, with retained messages, and without SUBACK", async (t) => {
  const { broker, hooks, connect } = await startBroker(t, { maxTopicLevels: 3 });
  const publisher = await connect("pub");
  await publisher.publishAcked("t", "kept", { retain: true });
  const request = { topicFilter: "t", qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  broker.host.restoreSubscription("sub", request);
  const subscriber = await connect("sub");
  broker.host.restoreSubscription("sub", request);
  broker.host.restoreSubscription("sub", request);
  broker.host.restoreSubscription("sub", { ...request, topicFilter: "a/b/c/d" });
  assert.deepEqual(hooks.subscribed, [
    { subscription: { ...request, clientId: "sub" }, event: { isNew: true, restored: true, clientIdAssigned: false } },
  ]);
  const packet = await subscriber.next("publish");
  assert.equal(packet.retain, true);
  await publisher.publishAcked("t", "live");
  assert.deepEqual(await subscriber.nextPayloads(1), ["live"]);
  assert.deepEqual(await subscriber.ping(), []);
});

test("overlapping subscriptions: one that is live gets the message, so it is not missed", async (t) => {
  const { broker, hooks, connect } = await startBroker(t);
  const publisher = await connect("pub");
  const subscriber = await connect("sub");
  await subscriber.subscribe("t");
  await subscriber.subscribe("#");
  await subscriber.subscribe("+");
  broker.host.beginCatchUp({ clientId: "sub", topicFilter: "#" }, true);
  await publisher.publishAcked("t", "one");
  assert.deepEqual(await subscriber.nextPayloads(1), ["one"]);
  assert.ok(hooks.calls.includes("routed one"));
  broker.host.beginCatchUp({ clientId: "sub", topicFilter: "t" }, true);
  broker.host.beginCatchUp({ clientId: "sub", topicFilter: "+" }, true);
  await publisher.publishAcked("t", "two");
  assert.deepEqual(await subscriber.ping(), []);
  assert.ok(hooks.calls.some((call) => /^routed two( missed sub [t#+]){3}$/.test(call)));
});

test("QoS 0 replay to a slow reader waits instead of being dropped, and is told when written", async (t) => {
  const { broker, hooks, connect } = await startBroker(t, { maxWriteBuffer: 1024 });
  const publisher = await connect("pub");
  await publisher.publishAcked("t", "one");
  const subscriber = await connect("sub");
  await subscriber.subscribe("t", { qos: 0 });
  const payload = Buffer.alloc(900_000, 97);
  subscriber.socket.pause();
  const messages = Array.from({ length: 16 }, () => ({ ...hooks.message("one"), id: broker.ids.next(), payload }));
  for (const message of messages) assert.equal(broker.host.deliver("sub", "t", message), "taken");
  assert.equal(broker.metrics.messagesSent[0], 1);
  subscriber.socket.resume();
  await waitFor(() => broker.metrics.messagesSent[0] === 16, { what: "all to be written" });
  const told = (): number => hooks.calls.filter((call) => call.startsWith("delivered sub")).length;
  await waitFor(() => told() === 16, { what: "all to be told" });
  assert.equal(broker.metrics.dropped.slowReader, 0);
});
