// Hooks that come and go while clients are connected.

import assert from "node:assert/strict";
import { test } from "node:test";
import { waitFor } from "../support/wait-for.ts";
import { startBroker } from "./broker-fixture.ts";
import { ScriptedHooks } from "./scripted-hooks.ts";

test("hooks attached later are told of connected clients, what they hold and what is under way, and of nobody else", async (t) => {
  const { broker, connect, connectPersistent } = await startBroker(t, { withoutHooks: true });
  const publisher = await connect("pub");
  const away = await connectPersistent("away");
  await away.subscribe("t/#");
  await away.disconnect();
  const subscriber = await connectPersistent("sub", { properties: { receiveMaximum: 1 } });
  await subscriber.subscribe("t/#");
  for (const payload of ["in flight", "queued"]) await publisher.publishAcked("t/a", payload);
  assert.deepEqual(await subscriber.nextPayloads(1), ["in flight"]);

  const hooks = new ScriptedHooks();
  broker.attachHooks(hooks);
  assert.deepEqual(hooks.connected.map(({ clientId }) => clientId).sort(), ["pub", "sub"]);
  const told = hooks.connected.find(({ clientId }) => clientId === "sub");
  assert.equal(told?.receiveMaximum, 1);
  assert.deepEqual(
    told?.subscriptions.map(({ topicFilter }) => topicFilter),
    ["t/#"],
  );
  assert.deepEqual(
    told?.pending.map(({ payload }) => Buffer.from(payload).toString()),
    ["in flight", "queued"],
  );
  assert.equal(await publisher.publishAcked("t/a", "stored"), 0);
  assert.ok(hooks.calls.includes("routed stored"));
});

test("once hooks are detached no hook is called, what was held back goes out in order, and live messages are pushed", async (t) => {
  const { broker, hooks, connect, connectPersistent } = await startBroker(t, { maxInflight: 10 });
  const publisher = await connect("pub");
  const away = await connectPersistent("sub");
  const filters = ["t/#", "$share/group/s"];
  for (const filter of filters) await away.subscribe(filter);
  await away.disconnect();
  await hooks.called("disconnected sub");
  for (const payload of ["1", "2"]) await publisher.publishAcked("t/a", payload);
  hooks.onConnected = () => {
    broker.host.beginCatchUp({ clientId: "sub", topicFilter: "t/#" }, true);
    broker.host.beginCatchUp({ topicFilter: "$share/group/s" }, true);
  };
  const subscriber = await connectPersistent("sub");
  await hooks.called("connected sub");
  assert.deepEqual(await subscriber.ping(), [], "held back");

  broker.detachHooks();
  const calls = hooks.calls.length;
  for (const [topic, payload] of [
    ["t/a", "3"],
    ["s", "shared"],
  ] as const) {
    await publisher.publishAcked(topic, payload);
  }
  assert.deepEqual(await subscriber.nextPayloads(4), ["1", "2", "3", "shared"]);
  await subscriber.unsubscribe("t/#");
  await connect("another");
  assert.deepEqual(hooks.calls.slice(calls), []);
  broker.detachHooks();
});

test("a publish that the hooks have in hand when they are detached is acknowledged and routed when they answer", async (t) => {
  const { broker, hooks, connect } = await startBroker(t);
  const publisher = await connect("pub");
  const subscriber = await connect("sub");
  await subscriber.subscribe("t");
  hooks.answer = () => "later";
  publisher.publish("t", { qos: 1, packetId: 7, payload: "slow" });
  await waitFor(() => hooks.published.length === 1, { what: "the publish" });
  broker.detachHooks();
  hooks.settle("slow", "stored");
  assert.equal((await publisher.next("puback")).packetId, 7);
  assert.deepEqual(await subscriber.nextPayloads(1), ["slow"]);
});
