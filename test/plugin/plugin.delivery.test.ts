// Who gets a stored message, on the host in memory; what needs this host, such as slow sockets, beside the cases of every host.

import assert from "node:assert/strict";
import { test } from "node:test";
import { deliveryCases } from "./delivery-cases.ts";
import { startPlugin } from "./plugin-fixture.ts";

deliveryCases(startPlugin);

test("two live subscribers both get a message, and the first acknowledgement removes it", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  const a = host.connect("a");
  const b = host.connect("b");
  host.subscribe("a", "t");
  host.subscribe("b", "#");
  await settle();
  await host.publish("t", "1");
  assert.deepEqual([a.payloads, b.payloads], [["1"], ["1"]]);
  host.ack("a");
  await settle();
  assert.equal(store.messages.length, 0);
  assert.equal(host.removed.length, 1);
  host.ack("b");
  await settle();
  assert.equal(host.removed.length, 2, "the host is told for each acknowledgement");
  const late = host.connect("late");
  host.subscribe("late", "t");
  await settle();
  assert.deepEqual(late.payloads, []);
});

test("a replay at QoS 0 removes a message once it is written to the socket", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  for (const payload of ["1", "2", "3"]) await host.publish("t", payload);
  const session = host.connect("c", { receiveMaximum: 2 });
  session.slowSocket = true;
  host.subscribe("c", "t", { qos: 0 });
  await settle();
  assert.deepEqual(session.payloads, ["1", "2"], "no more than the Receive Maximum is on the way");
  assert.equal(store.messages.length, 3);
  host.write("c");
  await settle();
  assert.deepEqual(session.payloads, ["1", "2", "3"]);
  assert.equal(store.messages.length, 1);
  host.disconnect("c");
  await settle();
  assert.equal(store.messages.length, 1, "what was not written stays");
});

test("what is published while a QoS 0 subscription catches up is sent to it and not removed", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  await host.publish("t", "old");
  const watcher = host.connect("watcher", { receiveMaximum: 1 });
  watcher.slowSocket = true;
  host.subscribe("watcher", "#", { qos: 0 });
  await settle();
  await host.publish("t", "new");
  for (let round = 0; round < 3; round += 1) {
    host.write("watcher");
    await settle();
  }
  assert.deepEqual(watcher.payloads, ["old", "new"]);
  assert.deepEqual(
    store.messages.map(({ message }) => Buffer.from(message.payload).toString()),
    ["new"],
  );
});

test("a message given back by a QoS 0 watcher goes to the subscriber that had to leave it", async (t) => {
  const { host, settle } = await startPlugin(t);
  await host.publish("t", "1");
  const watcher = host.connect("watcher");
  watcher.slowSocket = true;
  host.subscribe("watcher", "#", { qos: 0 });
  await settle();
  const session = host.connect("c");
  host.subscribe("c", "t");
  await settle();
  assert.deepEqual(session.payloads, []);
  host.disconnect("watcher");
  await settle();
  assert.deepEqual(session.payloads, ["1"]);
});

test("after a restart a replay at QoS 0 removes what it sent, although nothing was published yet", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  await host.publish("t", "1");
  const kept = store.messages;
  const restarted = await startPlugin(t);
  restarted.store.messages = kept;
  restarted.store.setAway(true);
  restarted.store.setAway(false);
  await restarted.settle();
  const session = restarted.host.connect("c");
  restarted.host.subscribe("c", "t", { qos: 0 });
  await settle();
  await restarted.settle();
  assert.deepEqual(session.payloads, ["1"]);
  assert.equal(restarted.store.messages.length, 0);
});

test("what a session gives up before it was sent is free for others", async (t) => {
  const { host, plugin, settle } = await startPlugin(t);
  await host.publish("t", "1");
  const a = host.connect("a");
  host.subscribe("a", "t");
  await settle();
  const b = host.connect("b");
  host.subscribe("b", "t");
  await settle();
  assert.deepEqual([a.payloads, b.payloads], [["1"], []]);
  plugin.deliveryDropped("a", "t", host.published[0] as never, "too_large");
  await settle();
  assert.deepEqual(b.payloads, ["1"]);
});

test("what was published while a shared subscription catches up goes to the group once, although another acknowledged it", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  for (const payload of ["1", "2"]) await host.publish("old", payload);
  const a = host.connect("a", { receiveMaximum: 1 });
  host.subscribe("a", "$share/g/#");
  const plain = host.connect("plain");
  host.subscribe("plain", "new");
  await settle();
  await host.publish("new", "3");
  host.ack("plain");
  await settle();
  for (let round = 0; round < 3; round += 1) {
    host.ack("a");
    await settle();
  }
  assert.deepEqual([a.payloads, plain.payloads], [["1", "2", "3"], ["3"]]);
  assert.equal(store.messages.length, 0);
});

test("an offline session holds no claim, and still gets on resume what it is owed, once", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  host.connect("away", { endsWithConnection: false, cleanStart: false });
  host.subscribe("away", "t");
  await settle();
  host.disconnect("away");
  await host.publish("t", "1");
  const other = host.connect("other");
  host.subscribe("other", "t");
  await settle();
  assert.deepEqual(other.payloads, ["1"]);
  host.ack("other");
  await settle();
  assert.equal(store.messages.length, 0);
  const away = host.connect("away", { cleanStart: false });
  await settle();
  assert.deepEqual(away.payloads, ["1"]);
});
