// What a session in another process loses comes from the store again, and nothing is delivered where there is no room.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startPlugin } from "./plugin-fixture.ts";

test("a live message that the session has lost comes from the store", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t);
  const session = host.connect("c", { receiveMaximum: 2 });
  host.subscribe("c", "t/#");
  await settle();
  for (const payload of ["1", "2", "3", "4"]) await host.publish("t/1", payload);
  assert.deepEqual(session.payloads, ["1", "2"]);
  host.lose("c", "3");
  await settle();
  host.ack("c", 2);
  await settle();
  host.ack("c", 2);
  await settle();
  assert.deepEqual([...session.payloads].sort(), ["1", "2", "3", "4"]);
  assert.equal(new Set(session.received.map(({ id }) => id)).size, 4);
  assert.equal(store.messages.length, 0);
  assert.deepEqual({ ...plugin.memory, replays: 0 }, { claims: 0, owed: 0, removals: 0, unrouted: 0, replays: 0 });
});

test("a replayed message that is lost gives its credit back, and is sent again, also behind one that was left to others", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  for (const payload of ["1", "2"]) await host.publish("a", payload);
  await host.publish("b", "other");
  const other = host.connect("other");
  host.subscribe("other", "b");
  await settle();
  const session = host.connect("c", { receiveMaximum: 2 });
  host.subscribe("c", "#");
  await settle();
  assert.deepEqual([session.payloads, other.payloads], [["1", "2"], ["other"]]);
  host.ack("c");
  await settle();
  host.lose("c", "2");
  await settle();
  assert.deepEqual(session.payloads, ["1", "2", "2"]);
  host.disconnect("other");
  await settle();
  host.ack("c", 2);
  await settle();
  host.ack("c", 2);
  await settle();
  assert.deepEqual(session.payloads, ["1", "2", "2", "other"]);
  assert.equal(store.messages.length, 0);
});

test("what one session loses is offered to others that left it", async (t) => {
  const { host, settle } = await startPlugin(t);
  await host.publish("t", "1");
  const a = host.connect("a");
  host.subscribe("a", "t");
  await settle();
  const b = host.connect("b");
  host.subscribe("b", "t");
  await settle();
  host.unsubscribe("a", "t");
  host.lose("a", "1");
  await settle();
  assert.deepEqual([a.payloads, b.payloads], [["1"], ["1"]]);
});

test("a message is owed still to a session that has lost it, although another client acknowledged it", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t);
  for (const payload of ["1", "2"]) await host.publish("old", payload);
  const slow = host.connect("slow", { receiveMaximum: 1 });
  host.subscribe("slow", "#");
  const fast = host.connect("fast");
  host.subscribe("fast", "new");
  await settle();
  await host.publish("new", "3");
  host.ack("fast");
  for (let left = 2; left > 0; left -= 1) {
    host.ack("slow");
    await settle();
  }
  assert.deepEqual([slow.payloads, fast.payloads], [["1", "2", "3"], ["3"]]);
  host.lose("slow", "3");
  await settle();
  assert.deepEqual(slow.payloads, ["1", "2", "3", "3"]);
  host.ack("slow");
  await settle();
  assert.equal(store.messages.length, 0);
  assert.equal(plugin.memory.owed, 0);
});

test("an acknowledgement that comes after a session has lost a live message leaves it the message", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t);
  const slow = host.connect("slow");
  const fast = host.connect("fast");
  for (const clientId of ["slow", "fast"]) host.subscribe(clientId, "t");
  await settle();
  await host.publish("t", "1");
  host.lose("slow", "1");
  host.ack("fast");
  await settle();
  assert.deepEqual([slow.payloads, fast.payloads], [["1", "1"], ["1"]]);
  host.ack("slow");
  await settle();
  assert.equal(store.messages.length, 0);
  assert.equal(plugin.memory.owed, 0);
});

test("a message that nobody holds a claim to brings the client's subscriptions back to the store", async (t) => {
  const { host, plugin, settle } = await startPlugin(t);
  const session = host.connect("c", { receiveMaximum: 5 });
  host.subscribe("c", "t");
  await settle();
  await host.publish("t", "1");
  session.inFlight.clear();
  const [message] = host.published;
  assert.ok(message);
  plugin.deliveryLost("c", message);
  await settle();
  assert.deepEqual(session.payloads, ["1", "1"]);
  plugin.deliveryLost("c", { id: message.id, topic: "$SYS/x" });
  plugin.deliveryLost("nobody", message);
});

test("nothing is delivered to a client without room, and all of it once there is room", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  for (let n = 1; n <= 20; n += 1) await host.publish("t", String(n));
  host.withoutRoom.add("c");
  const session = host.connect("c", { receiveMaximum: 3 });
  const b = host.connect("b", { receiveMaximum: 3 });
  host.subscribe("c", "t");
  await settle();
  assert.deepEqual(session.payloads, []);
  host.subscribe("b", "$share/g/t");
  await settle();
  assert.equal(b.received.length, 3, "others are not held up");
  host.withoutRoom.delete("c");
  host.hooks.clientHasRoom("c");
  host.hooks.clientHasRoom("nobody");
  while (session.inFlight.size + b.inFlight.size > 0) {
    await settle();
    host.ack("c");
    host.ack("b");
    await settle();
  }
  assert.equal(session.received.length + b.received.length, 20);
  assert.equal(store.messages.length, 0);
});
