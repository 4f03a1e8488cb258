// Stored subscriptions: written as clients subscribe, put back when they connect, removed when they unsubscribe or expire.

import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreInvalidError } from "../../src/store/errors.ts";
import { waitFor } from "../support/wait-for.ts";
import { startPlugin, turn } from "./plugin-fixture.ts";

test("a subscription comes back with a clean start, and its messages with it", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  host.connect("c1");
  host.subscribe("c1", "t", { qos: 2, noLocal: true });
  await settle();
  host.disconnect("c1");
  await host.publish("t", "1", { qos: 2 });
  const session = host.connect("c1");
  await settle();
  assert.deepEqual(
    session.received.map(({ payload, qos }) => [payload, qos]),
    [["1", 2]],
  );
  assert.equal(session.subscriptions.get("t")?.noLocal, true);
  host.ack("c1");
  host.unsubscribe("c1", "t");
  await settle();
  assert.equal(store.subscriptions.size, 0);
  host.disconnect("c1");
  await host.publish("t", "2");
  const later = host.connect("c1");
  await settle();
  assert.deepEqual(later.payloads, []);
});

test("what a session holds already is not made again", async (t) => {
  const { host, settle } = await startPlugin(t);
  host.connect("c", { endsWithConnection: false });
  host.subscribe("c", "t");
  await settle();
  host.disconnect("c");
  await host.publish("t", "1");
  const session = host.connect("c", { cleanStart: false });
  await settle();
  assert.deepEqual(session.payloads, ["1"]);
});

test("restored, and asked for at the same time: each message once", async (t) => {
  const { host, settle } = await startPlugin(t);
  host.connect("c");
  host.subscribe("c", "t");
  await settle();
  host.disconnect("c");
  for (const payload of ["1", "2"]) await host.publish("t", payload);
  const session = host.connect("c");
  host.subscribe("c", "t");
  await settle();
  host.subscribe("c", "t");
  await settle();
  assert.deepEqual(session.payloads, ["1", "2"]);
});

test("an UNSUBSCRIBE that comes before the stored subscriptions are read wins", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  host.connect("c");
  host.subscribe("c", "t");
  await settle();
  host.disconnect("c");
  store.held = true;
  const session = host.connect("c");
  host.subscribe("c", "t");
  host.unsubscribe("c", "t");
  store.held = false;
  store.stepAll();
  await settle();
  assert.equal(session.subscriptions.size, 0);
  assert.equal(store.subscriptions.size, 0);
});

test("subscriptions under a Client Identifier that the server made up are not stored", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  host.connect("auto-1", { clientIdAssigned: true });
  host.subscribe("auto-1", "t");
  await settle();
  host.unsubscribe("auto-1", "t");
  await settle();
  assert.deepEqual(
    store.carriedOut.filter((name) => /Subscription/.test(name)),
    [],
  );
});

test("a store that is away: nobody waits, and subscriptions are written and put back when it is there again", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  host.connect("c1");
  host.subscribe("c1", "t");
  await settle();
  host.disconnect("c1");
  store.setAway(true);
  const c1 = host.connect("c1");
  host.connect("c2");
  host.subscribe("c2", "a");
  host.subscribe("c2", "b");
  host.unsubscribe("c2", "a");
  await settle();
  assert.equal(store.subscriptions.size, 1);
  store.setAway(false);
  await waitFor(() => c1.subscriptions.has("t") && store.subscriptions.has("c2\0b"), { what: "the subscriptions" });
  assert.equal(store.subscriptions.has("c2\0a"), false);
});

test("what waits to be written counts when the client is back before it is written", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  store.held = true;
  host.connect("c");
  host.subscribe("c", "t");
  host.disconnect("c");
  const session = host.connect("c");
  await turn();
  // The list is answered from before the write.
  store.messages = [];
  store.held = false;
  store.stepAll();
  await settle();
  assert.ok(session.subscriptions.has("t"));
});

test("subscriptions that wait for the store are bounded, and what is not stored is counted and logged once", async (t) => {
  const { host, store, plugin, log, settle } = await startPlugin(t, { limits: { pendingSubscriptions: 5 } });
  store.setAway(true);
  host.connect("c");
  for (let n = 0; n < 20; n += 1) host.subscribe("c", `t/${n}`);
  await settle();
  assert.equal(plugin.counters.subscriptionsNotStored, 15);
  assert.equal(log.filter(({ level }) => level === "warn").length, 1);
  store.setAway(false);
  await waitFor(() => store.subscriptions.size === 5, { what: "the five that waited" });
});

test("a subscription that can never be stored is made all the same, counted and logged", async (t) => {
  const { host, store, plugin, log, settle } = await startPlugin(t);
  const session = host.connect("c");
  await settle();
  store.failure = new StoreInvalidError("too long");
  host.subscribe("c", "t");
  await settle();
  assert.ok(session.subscriptions.has("t"));
  assert.equal(plugin.counters.subscriptionsNotStored, 1);
  assert.ok(log.some(({ level, message }) => level === "warn" && /could not be stored/.test(message)));
});

test("subscription_ttl removes those of clients not seen for so long, but of no connected client", async (t) => {
  const { host, store, settle } = await startPlugin(t, { subscriptionTtl: 60, sweepInterval: 5 });
  for (const clientId of ["gone", "here"]) {
    host.connect(clientId);
    host.subscribe(clientId, "t");
  }
  await settle();
  host.disconnect("gone");
  await settle();
  store.lastSeen.set("gone", Date.now() - 61_000);
  store.lastSeen.set("here", Date.now() - 61_000);
  await waitFor(() => store.subscriptions.size === 1 && (store.lastSeen.get("here") ?? 0) > Date.now() - 60_000, {
    what: "the sweep",
  });
  assert.ok(store.subscriptions.has("here\0t"));
});

test("expired messages are swept in pages", async (t) => {
  const { host, store, plugin } = await startPlugin(t, { sweepInterval: 5 });
  for (let n = 0; n < 1200; n += 1) await host.publish("t", "", { expiresAt: Date.now() - 1 });
  await waitFor(() => store.messages.length === 0, { what: "the sweep" });
  assert.equal(plugin.counters.expired, 1200);
});
