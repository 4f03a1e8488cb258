// Replay: catch up from the store in pages, then live; no message twice, none lost, in order, whatever happens between.

import assert from "node:assert/strict";
import { test } from "node:test";
import { waitFor } from "../support/wait-for.ts";
import { startPlugin, turn } from "./plugin-fixture.ts";

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index));

test("what was published before is delivered in order, once, and removed when acknowledged", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  for (const payload of ["1", "2", "3"]) assert.equal(await host.publish("t/2", payload), "stored");
  const first = host.connect("first");
  host.subscribe("first", "t/2");
  await settle();
  assert.deepEqual(first.payloads, ["1", "2", "3"]);
  host.ack("first", 3);
  await settle();
  assert.equal(store.messages.length, 0);
  const second = host.connect("second");
  host.subscribe("second", "t/2");
  await settle();
  assert.deepEqual(second.payloads, []);
});

test("a backlog of many pages is sent within the Receive Maximum, and read a few pages at a time", async (t) => {
  const { host, store, settle } = await startPlugin(t, { limits: { pageMessages: 10 } });
  for (const payload of numbers(1, 200)) await host.publish("t", payload);
  const session = host.connect("slow", { receiveMaximum: 3 });
  host.subscribe("slow", "t");
  await settle();
  assert.deepEqual(session.payloads, ["1", "2", "3"]);
  const pages = store.carriedOut.filter((name) => name === "readPage").length;
  assert.ok(pages <= 2, `at most two pages are read ahead, not ${pages}`);
  while (session.inFlight.size > 0) {
    assert.ok(session.inFlight.size <= 3 && session.queue.length === 0);
    host.ack("slow");
    await settle();
  }
  assert.deepEqual(session.payloads, numbers(1, 200));
  assert.equal(store.messages.length, 0);
});

test("a message published during catch-up comes after the backlog, and once", async (t) => {
  const { host, store, settle } = await startPlugin(t, { limits: { pageMessages: 2 } });
  for (const payload of ["1", "2", "3"]) await host.publish("t", payload);
  const session = host.connect("c", { receiveMaximum: 1 });
  host.subscribe("c", "t");
  await settle();
  await host.publish("t", "4");
  await host.publish("t", "5");
  assert.ok(host.isCatchingUp("c", "t"));
  for (let left = 5; left > 0; left -= 1) {
    host.ack("c");
    await settle();
  }
  assert.deepEqual(session.payloads, numbers(1, 5));
  assert.ok(!host.isCatchingUp("c", "t"));
  await host.publish("t", "6");
  await settle();
  assert.deepEqual(session.payloads, numbers(1, 6));
  assert.ok(!session.received.at(-1)?.replayed, "live messages are pushed by the host again");
  host.ack("c");
  await settle();
  assert.equal(store.messages.length, 0);
});

test("a subscriber under constant traffic goes live", async (t) => {
  const { host, settle } = await startPlugin(t, { limits: { pageMessages: 20 } });
  for (const payload of numbers(1, 50)) await host.publish("t", payload);
  const session = host.connect("c", { receiveMaximum: 100 });
  host.subscribe("c", "t");
  let last = 50;
  while (host.isCatchingUp("c", "t")) {
    assert.ok(last < 2000, "it goes live although a message is published in every turn");
    void host.publish("t", String(++last));
    await turn();
    host.ack("c", 100);
  }
  await settle();
  host.ack("c", 2000);
  await settle();
  assert.deepEqual(session.payloads, numbers(1, last));
});

test("more missed messages than the tail takes are read from the store", async (t) => {
  const { host, store, settle } = await startPlugin(t, { limits: { pageMessages: 4 } });
  await host.publish("t", "1");
  const session = host.connect("c", { receiveMaximum: 1 });
  host.subscribe("c", "t");
  await settle();
  for (const payload of numbers(2, 30)) await host.publish("t", payload);
  while (session.inFlight.size > 0) {
    host.ack("c");
    await settle();
  }
  assert.deepEqual(session.payloads, numbers(1, 30));
  assert.equal(store.messages.length, 0);
});

test("a page read while a message is being stored neither loses nor repeats it", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  await host.publish("t", "1");
  const session = host.connect("c");
  await settle();
  store.held = true;
  const published = host.publish("t", "2");
  host.subscribe("c", "t");
  // Stored, and read by the page, before the host has routed it.
  while (store.step() !== undefined);
  store.held = false;
  await published;
  await settle();
  assert.deepEqual(session.payloads, ["1", "2"]);
  host.ack("c", 2);
  await settle();
  assert.deepEqual(session.payloads, ["1", "2"]);
});

test("an acknowledgement that races a page read does not bring the message back", async (t) => {
  const { host, store, settle } = await startPlugin(t, { limits: { pageMessages: 1 } });
  await host.publish("t", "1");
  await host.publish("t", "2");
  const a = host.connect("a");
  host.subscribe("a", "t");
  await settle();
  assert.deepEqual(a.payloads, ["1", "2"]);
  const b = host.connect("b");
  await settle();
  store.held = true;
  host.subscribe("b", "t");
  await turn();
  assert.deepEqual(
    store.waiting.filter((name) => name === "readPage"),
    ["readPage"],
  );
  // The page is read while both are still stored; then they are acknowledged; then the answer arrives.
  store.step();
  host.ack("a", 2);
  store.held = false;
  store.stepAll();
  await settle();
  assert.deepEqual(b.payloads, []);
  assert.equal(store.messages.length, 0);
});

test("a second subscriber during a drain gets only what the first is not being sent", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  for (const payload of numbers(1, 30)) await host.publish("t", payload);
  const a = host.connect("a", { receiveMaximum: 5 });
  host.subscribe("a", "t");
  await settle();
  const b = host.connect("b", { receiveMaximum: 5 });
  host.subscribe("b", "#");
  await settle();
  for (let round = 0; round < 30; round += 1) {
    host.ack("a", 1);
    host.ack("b", 1);
    await settle();
  }
  assert.deepEqual(
    [...a.payloads, ...b.payloads].map(Number).sort((x, y) => x - y),
    numbers(1, 30).map(Number),
  );
  assert.equal(store.messages.length, 0);
});

test("what a client had not acknowledged when it went away goes to the next matching subscriber", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  for (const payload of ["1", "2", "3"]) await host.publish("t", payload);
  host.connect("a");
  host.subscribe("a", "t");
  await settle();
  const b = host.connect("b");
  host.subscribe("b", "t");
  await settle();
  assert.deepEqual(b.payloads, []);
  host.ack("a", 1);
  host.disconnect("a");
  await settle();
  assert.deepEqual(b.payloads, ["2", "3"]);
  host.ack("b", 2);
  await settle();
  assert.equal(store.messages.length, 0);
});

test("a client that goes away in the middle of a drain gets the rest, with what it had not acknowledged, when it is back", async (t) => {
  const { host, store, settle } = await startPlugin(t, { limits: { pageMessages: 4 } });
  for (const payload of numbers(1, 20)) await host.publish("t", payload);
  host.connect("c", { receiveMaximum: 2 });
  host.subscribe("c", "t");
  await settle();
  host.ack("c", 1);
  await settle();
  host.disconnect("c");
  await settle();
  const again = host.connect("c", { receiveMaximum: 100 });
  await settle();
  assert.deepEqual(again.payloads, numbers(2, 20));
  host.ack("c", 100);
  await settle();
  assert.equal(store.messages.length, 0);
});

test("on resume the session's queue and the store are merged into publish order, also what the queue dropped", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  const options = { cleanStart: false, endsWithConnection: false, receiveMaximum: 3, queueLimit: 4 };
  host.connect("c", options);
  host.subscribe("c", "t");
  await settle();
  await host.publish("t", "1");
  await settle();
  host.disconnect("c");
  for (const payload of numbers(2, 12)) await host.publish("t", payload);
  assert.equal(host.session("c").queue.length, 4);
  const session = host.connect("c", options);
  await settle();
  while (session.inFlight.size > 0) {
    host.ack("c");
    await settle();
  }
  assert.deepEqual(session.payloads, numbers(1, 12));
  assert.equal(store.messages.length, 0);
});

test("a connected client whose queue overflows gets the rest from the store, in order", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  const session = host.connect("slow", { receiveMaximum: 2, queueLimit: 3 });
  host.subscribe("slow", "t");
  await settle();
  for (const payload of numbers(1, 40)) await host.publish("t", payload);
  assert.ok(session.queue.length <= 3 + 2);
  await settle();
  while (session.inFlight.size > 0) {
    host.ack("slow");
    await settle();
  }
  assert.deepEqual(session.payloads, numbers(1, 40));
  assert.equal(store.messages.length, 0);
});

test("a retained copy comes first, counts as the delivery, and is not repeated from the store", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  await host.publish("t", "old");
  await host.publish("t", "kept", { retain: true });
  const session = host.connect("c");
  host.subscribe("c", "t");
  await settle();
  assert.deepEqual(
    session.received.map(({ payload, retained }) => [payload, retained]),
    [
      ["kept", true],
      ["old", false],
    ],
  );
  host.ack("c", 2);
  await settle();
  assert.equal(store.messages.length, 0);
  const later = host.connect("later");
  host.subscribe("later", "t");
  await settle();
  assert.deepEqual(later.payloads, ["kept"]);
});

test("the store fails half-way through a drain: replay goes on by itself when it is back", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t, { limits: { pageMessages: 5 } });
  for (const payload of numbers(1, 20)) await host.publish("t", payload);
  const session = host.connect("c", { receiveMaximum: 2 });
  host.subscribe("c", "t");
  await settle();
  host.ack("c", 2);
  store.setAway(true);
  for (let round = 0; round < 10; round += 1) {
    host.ack("c", 2);
    await settle();
  }
  assert.ok(session.received.length < 20, "pages that cannot be read are not sent");
  store.setAway(false);
  await waitFor(
    async () => {
      host.ack("c", 2);
      await settle();
      return session.received.length === 20 && store.messages.length === 0;
    },
    { what: "the rest of the backlog" },
  );
  assert.deepEqual(session.payloads, numbers(1, 20));
  assert.deepEqual(plugin.memory, { claims: 0, owed: 0, removals: 0, unrouted: 0, replays: 1 });
});

test("several subscriptions of one client share its window in turn, and overlapping ones send a message once", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  for (const payload of numbers(1, 10)) await host.publish("bulk/1", `b${payload}`);
  for (const payload of numbers(1, 3)) await host.publish("control/1", `c${payload}`);
  const session = host.connect("c", { receiveMaximum: 2 });
  host.subscribe("c", "bulk/#");
  host.subscribe("c", "bulk/+");
  host.subscribe("c", "control/#");
  await settle();
  while (session.inFlight.size > 0) {
    host.ack("c");
    await settle();
  }
  assert.equal(session.received.length, 13);
  assert.deepEqual(
    session.payloads.filter((payload) => payload.startsWith("b")),
    numbers(1, 10).map((payload) => `b${payload}`),
  );
  assert.ok(session.payloads.indexOf("c3") < 12, "the small backlog does not wait for the large one");
  assert.equal(store.messages.length, 0);
});

test("a message above the client's Maximum Packet Size is passed over, counted, and stays for others", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t);
  for (const payload of ["a", "too large", "b"]) await host.publish("t", payload);
  const small = host.connect("small", { maxPayload: 3 });
  host.subscribe("small", "t");
  await settle();
  host.ack("small", 2);
  await settle();
  assert.deepEqual(small.payloads, ["a", "b"]);
  assert.equal(plugin.counters.passedOverTooLarge, 1);
  const large = host.connect("large");
  host.subscribe("large", "t");
  await settle();
  assert.deepEqual(large.payloads, ["too large"]);
  host.ack("large");
  await settle();
  assert.equal(store.messages.length, 0);
});

test("a client's own messages do not come back under No Local", async (t) => {
  const { host, settle } = await startPlugin(t);
  await host.publish("t", "own", { from: "c" });
  await host.publish("t", "other");
  const session = host.connect("c");
  host.subscribe("c", "t", { noLocal: true });
  await settle();
  assert.deepEqual(session.payloads, ["other"]);
});

test("an expired message is not replayed", async (t) => {
  const { host, settle } = await startPlugin(t);
  await host.publish("t", "late", { expiresAt: Date.now() - 1 });
  await host.publish("t", "in time", { expiresAt: Date.now() + 60_000 });
  const session = host.connect("c");
  host.subscribe("c", "t");
  await settle();
  assert.deepEqual(session.payloads, ["in time"]);
});

test("removed ids are remembered within a bound: the page that holds them is read again instead", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t, { limits: { removals: 20, pageMessages: 10 } });
  for (const payload of numbers(1, 10)) await host.publish("old", payload);
  const stuck = host.connect("stuck", { receiveMaximum: 1 });
  host.subscribe("stuck", "#");
  await settle();
  const busy = host.connect("busy");
  host.subscribe("busy", "t");
  await settle();
  for (const payload of numbers(11, 300)) {
    await host.publish("t", payload);
    host.ack("busy");
    await settle();
    assert.ok(plugin.memory.removals <= 20);
  }
  while (stuck.inFlight.size > 0) {
    host.ack("stuck");
    await settle();
  }
  assert.equal(busy.received.length, 290);
  assert.deepEqual(stuck.payloads, numbers(1, 300), "it was subscribed all the while");
  assert.equal(store.messages.length, 0);
});

test("two overlapping subscriptions that both catch up send what is published meanwhile once, in order", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  for (const payload of numbers(1, 80)) await host.publish("t/2", payload);
  for (const payload of numbers(81, 100)) await host.publish("t/1", payload);
  const session = host.connect("c", { receiveMaximum: 5 });
  host.subscribe("c", "t/#");
  host.subscribe("c", "t/1");
  await settle();
  let last = 100;
  while (session.inFlight.size > 0) {
    if (last < 150) await host.publish("t/1", String(++last));
    host.ack("c", 2);
    await settle();
  }
  assert.equal(session.received.length, 150);
  const ofTopic = session.received.filter(({ topic }) => topic === "t/1").map(({ payload }) => payload);
  assert.deepEqual(ofTopic, numbers(81, 150));
  assert.equal(store.messages.length, 0);
});

test("a tail that stays long is given up at the bound of remembered removals, and nothing is repeated", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t, { limits: { removals: 10 } });
  for (const payload of ["a", "b"]) await host.publish("old", payload);
  const slow = host.connect("slow", { receiveMaximum: 1 });
  host.subscribe("slow", "#");
  const fast = host.connect("fast");
  host.subscribe("fast", "t");
  await settle();
  for (const payload of numbers(1, 100)) {
    await host.publish("t", payload);
    host.ack("fast");
    await settle();
    assert.ok(plugin.memory.removals <= 10);
  }
  while (slow.inFlight.size > 0) {
    host.ack("slow");
    await settle();
  }
  assert.deepEqual(slow.payloads, ["a", "b", ...numbers(1, 100)]);
  assert.equal(fast.received.length, 100);
  assert.equal(store.messages.length, 0);
});

test("many messages that are too large for a client are passed over without looking at all that it is owed", async (t) => {
  const { host, plugin, settle } = await startPlugin(t);
  for (const payload of ["a", "b"]) await host.publish("old", payload);
  const small = host.connect("small", { receiveMaximum: 1, maxPayload: 3 });
  host.subscribe("small", "#");
  await settle();
  for (const payload of numbers(1, 2000)) await host.publish("t", `too large ${payload}`);
  assert.equal(plugin.memory.owed, 2000);
  host.ack("small");
  await settle();
  host.ack("small");
  await settle();
  assert.equal(plugin.memory.owed, 0);
  assert.equal(plugin.counters.passedOverTooLarge, 2000);
  assert.deepEqual(small.payloads, ["a", "b"]);
});

test("a live message that the queue has no room for keeps its place beside a subscription that catches up", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  const session = host.connect("c", { receiveMaximum: 2, queueLimit: 1 });
  host.subscribe("c", "t/1");
  await settle();
  for (let n = 0; n < 4; n += 1) await host.publish("t/2", "backlog");
  host.subscribe("c", "t/#");
  await settle();
  assert.ok(!host.isCatchingUp("c", "t/1") && host.isCatchingUp("c", "t/#"));
  // t/1 has to read the store for the second, t/# gets the third as soon as its backlog is sent.
  store.pagesHeld = true;
  for (const payload of ["1", "2", "3"]) await host.publish("t/1", payload);
  assert.ok(host.isCatchingUp("c", "t/1"));
  for (let round = 0; round < 8; round += 1) {
    host.ack("c", 2);
    await settle();
  }
  store.pagesHeld = false;
  store.stepAll();
  await settle();
  host.ack("c", 10);
  await settle();
  assert.deepEqual(
    session.payloads.filter((payload) => payload !== "backlog"),
    ["1", "2", "3"],
  );
  assert.equal(session.received.length, 7);
  assert.equal(store.messages.length, 0);
});

test("acknowledgements that wait for a store that is away are bounded, counted and logged once", async (t) => {
  const { host, store, plugin, log, settle } = await startPlugin(t, { limits: { removals: 5 } });
  const session = host.connect("c", { receiveMaximum: 100 });
  host.subscribe("c", "t");
  await settle();
  for (const payload of numbers(1, 20)) await host.publish("t", payload);
  store.setAway(true);
  host.ack("c", 20);
  await settle();
  assert.equal(plugin.memory.removals, 5);
  assert.equal(plugin.counters.removalsGivenUp, 15);
  assert.equal(log.filter(({ level }) => level === "warn").length, 1);
  store.setAway(false);
  await waitFor(() => store.messages.length === 15, { what: "the five that waited to be removed" });
  assert.equal(session.received.length, 20);
});
