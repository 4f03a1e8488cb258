// Who gets a stored message, on any host: the first acknowledgement wins, what is owed is kept, QoS 0, shared subscriptions.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Message } from "../../src/mqtt/message.ts";
import type { SubscriptionRequest } from "../../src/mqtt/subscription.ts";
import type { OfflineMessagePlugin } from "../../src/plugin/offline-message-plugin.ts";
import type { PluginOptions } from "../../src/plugin/options.ts";
import type { ConnectOptions, Received } from "./memory-host.ts";

/** A client's session as a host has it. */
export interface CaseSession {
  readonly received: readonly Pick<Received, "id" | "topic" | "payload" | "qos" | "retained">[];
  readonly payloads: readonly string[];
  readonly inFlight: { readonly size: number };
}

/** A host with its clients. */
export interface CaseHost {
  connect(clientId: string, options?: ConnectOptions): CaseSession;
  disconnect(clientId: string): void;
  subscribe(clientId: string, topicFilter: string, options?: Partial<SubscriptionRequest>): void;
  unsubscribe(clientId: string, topicFilter: string): void;
  publish(topic: string, payload: string, options?: Partial<Message>): Promise<unknown>;
  ack(clientId: string, count?: number): void;
}

/** The plugin on that host and a store. */
export interface CaseFixture {
  readonly host: CaseHost;
  readonly store: { readonly messages: readonly { readonly message: Pick<Message, "payload"> }[] };
  readonly plugin: Pick<OfflineMessagePlugin, "memory" | "counters">;
  /** Waits until nothing happens any more. */
  settle(): Promise<void>;
}

export type StartCase = (t: TestContext, options?: Partial<PluginOptions>) => Promise<CaseFixture>;

export function deliveryCases(start: StartCase): void {
  test("another client's acknowledgement does not remove what a client that is catching up is owed", async (t) => {
    const { host, store, plugin, settle } = await start(t);
    for (const payload of ["1", "2", "3"]) await host.publish("old", payload);
    const slow = host.connect("slow", { receiveMaximum: 1 });
    host.subscribe("slow", "#");
    await settle();
    const fast = host.connect("fast");
    host.subscribe("fast", "new");
    await settle();
    await host.publish("new", "4");
    assert.deepEqual(fast.payloads, ["4"]);
    host.ack("fast");
    await settle();
    assert.equal(store.messages.length, 4, "the message that slow has not had stays");
    assert.equal(plugin.memory.owed, 1);
    const late = host.connect("late");
    host.subscribe("late", "new");
    await settle();
    assert.deepEqual(late.payloads, [], "for others it counts as acknowledged");
    for (let left = 4; left > 0; left -= 1) {
      host.ack("slow");
      await settle();
    }
    assert.deepEqual(slow.payloads, ["1", "2", "3", "4"]);
    assert.equal(store.messages.length, 0);
    assert.equal(plugin.memory.owed, 0);
  });

  test("a client that is catching up gets what it is owed even while another is being sent it", async (t) => {
    const { host, store, settle } = await start(t);
    await host.publish("old", "1");
    const slow = host.connect("slow", { receiveMaximum: 1 });
    host.subscribe("slow", "#");
    const fast = host.connect("fast");
    host.subscribe("fast", "new");
    await settle();
    await host.publish("new", "2");
    host.ack("slow");
    await settle();
    assert.deepEqual([slow.payloads, fast.payloads], [["1", "2"], ["2"]]);
    host.ack("slow");
    host.ack("fast");
    await settle();
    assert.equal(store.messages.length, 0);
  });

  test("what is owed to a session that is gone for good is removed", async (t) => {
    const { host, store, plugin, settle } = await start(t);
    for (const payload of ["0", "1"]) await host.publish("old", payload);
    host.connect("slow", { receiveMaximum: 1, endsWithConnection: false });
    host.subscribe("slow", "#");
    host.connect("fast");
    host.subscribe("fast", "new");
    await settle();
    await host.publish("new", "2");
    host.ack("fast");
    await settle();
    host.disconnect("slow");
    await settle();
    assert.equal(store.messages.length, 3, "the session lives on");
    host.connect("slow", { cleanStart: true });
    await settle();
    assert.deepEqual(
      store.messages.map(({ message }) => Buffer.from(message.payload).toString()),
      ["0", "1"],
    );
    assert.equal(plugin.memory.owed, 0);
  });

  test("what is owed is bounded: at the bound the acknowledgement removes the message", async (t) => {
    const { host, store, plugin, settle } = await start(t, { limits: { owedPerSession: 3 } });
    for (const payload of ["a", "b"]) await host.publish("old", payload);
    host.connect("slow", { receiveMaximum: 1 });
    host.subscribe("slow", "#");
    host.connect("fast", { receiveMaximum: 100 });
    host.subscribe("fast", "new");
    await settle();
    for (let n = 1; n <= 10; n += 1) await host.publish("new", String(n));
    host.ack("fast", 10);
    await settle();
    assert.equal(plugin.memory.owed, 3);
    assert.equal(plugin.counters.owedBound, 7);
    assert.equal(store.messages.length, 2 + 3);
  });

  test("a live QoS 0 delivery removes nothing", async (t) => {
    const { host, settle } = await start(t);
    const watcher = host.connect("watcher");
    host.subscribe("watcher", "#", { qos: 0 });
    await settle();
    for (const payload of ["1", "2"]) await host.publish("t", payload);
    await settle();
    assert.deepEqual(watcher.payloads, ["1", "2"]);
    const session = host.connect("c");
    host.subscribe("c", "t");
    await settle();
    assert.deepEqual(session.payloads, ["1", "2"]);
  });

  test("a replay at QoS 0 keeps the messages when told so", async (t) => {
    const { host, store, settle } = await start(t, { qos0Replay: "keep" });
    await host.publish("t", "1");
    for (const clientId of ["a", "b"]) {
      const session = host.connect(clientId);
      host.subscribe(clientId, "t", { qos: 0 });
      await settle();
      assert.deepEqual(session.payloads, ["1"]);
    }
    assert.equal(store.messages.length, 1);
  });

  test("a retained copy sent at QoS 0 counts as the delivery", async (t) => {
    const { host, store, settle } = await start(t);
    await host.publish("t", "kept", { retain: true });
    const session = host.connect("c");
    host.subscribe("c", "t", { qos: 0 });
    await settle();
    assert.deepEqual(session.payloads, ["kept"]);
    assert.equal(store.messages.length, 0);
  });

  test("a shared subscription has one replay, in turns among the members, also those that join during it", async (t) => {
    const { host, store, settle } = await start(t);
    for (let n = 1; n <= 30; n += 1) await host.publish("t", String(n));
    const a = host.connect("a", { receiveMaximum: 3 });
    host.subscribe("a", "$share/g/t");
    await settle();
    const b = host.connect("b", { receiveMaximum: 3 });
    host.subscribe("b", "$share/g/t");
    await settle();
    for (let round = 0; round < 30; round += 1) {
      host.ack("a");
      host.ack("b");
      await settle();
    }
    assert.equal(a.received.length + b.received.length, 30);
    assert.ok(Math.abs(a.received.length - b.received.length) <= 4, `${a.received.length} and ${b.received.length}`);
    assert.equal(new Set([...a.payloads, ...b.payloads]).size, 30);
    assert.equal(store.messages.length, 0);
  });

  test("what a member of a shared subscription leaves unacknowledged goes to another member", async (t) => {
    const { host, store, settle } = await start(t);
    for (const payload of ["1", "2"]) await host.publish("t", payload);
    host.connect("a");
    host.subscribe("a", "$share/g/t");
    await settle();
    const b = host.connect("b");
    host.subscribe("b", "$share/g/t");
    await settle();
    assert.deepEqual(b.payloads, []);
    host.disconnect("a");
    await settle();
    assert.deepEqual(b.payloads, ["1", "2"]);
    host.ack("b", 2);
    await settle();
    assert.equal(store.messages.length, 0);
  });

  test("claims hold across groups and plain subscribers", async (t) => {
    const { host, settle } = await start(t);
    await host.publish("t", "1");
    const a = host.connect("a");
    host.subscribe("a", "$share/g/t");
    await settle();
    const b = host.connect("b");
    host.subscribe("b", "$share/h/t");
    const c = host.connect("c");
    host.subscribe("c", "t");
    await settle();
    assert.deepEqual([a.payloads, b.payloads, c.payloads], [["1"], [], []]);
    host.disconnect("a");
    await settle();
    assert.equal(b.received.length + c.received.length, 1);
  });

  test("unsubscribing gives up what was owed, unless another subscription of the client wants it", async (t) => {
    const { host, plugin, settle } = await start(t);
    for (const topic of ["a/1", "a/1", "b/1", "b/1"]) await host.publish(topic, "old");
    host.connect("slow", { receiveMaximum: 1 });
    host.subscribe("slow", "a/#");
    host.subscribe("slow", "b/#");
    await settle();
    await host.publish("a/2", "owed");
    await host.publish("b/2", "owed");
    assert.equal(plugin.memory.owed, 2);
    host.unsubscribe("slow", "a/#");
    await settle();
    assert.equal(plugin.memory.owed, 1);
  });

  for (const [first, second] of [
    [0, 1],
    [1, 0],
  ] as const) {
    test(`members of a shared subscription with QoS ${first} and ${second}: each message once, all removed`, async (t) => {
      const { host, store, plugin, settle } = await start(t);
      for (let n = 1; n <= 60; n += 1) await host.publish("t", String(n));
      const a = host.connect("a", { receiveMaximum: 4 });
      host.subscribe("a", "$share/g/#", { qos: first });
      const b = host.connect("b", { receiveMaximum: 4 });
      host.subscribe("b", "$share/g/#", { qos: second });
      for (let round = 0; round < 60; round += 1) {
        await settle();
        host.ack("a", 4);
        host.ack("b", 4);
      }
      assert.equal(new Set([...a.payloads, ...b.payloads]).size, 60);
      assert.equal(a.received.length + b.received.length, 60);
      assert.ok(a.received.length >= 4 && b.received.length >= 4);
      assert.equal(store.messages.length, 0);
      assert.equal(plugin.memory.claims, 0);
    });
  }

  test("a client with a plain and a shared subscription that overlap: what it acknowledged is removed", async (t) => {
    const { host, store, plugin, settle } = await start(t);
    for (let n = 1; n <= 30; n += 1) await host.publish("t/1", String(n));
    const session = host.connect("c", { receiveMaximum: 3 });
    host.subscribe("c", "t/#");
    host.subscribe("c", "$share/g/t/#");
    await settle();
    for (let n = 31; n <= 40; n += 1) await host.publish("t/1", String(n));
    while (session.inFlight.size > 0) {
      host.ack("c", 2);
      await settle();
    }
    assert.equal(new Set(session.payloads).size, 40);
    assert.equal(store.messages.length, 0);
    assert.equal(plugin.memory.owed, 0);
  });

  test("a QoS 0 subscription leaves to a QoS 1 subscription of the same client what both match", async (t) => {
    const { host, store, settle } = await start(t);
    for (const topic of ["t/1", "t/2"]) await host.publish(topic, topic);
    const session = host.connect("c");
    host.subscribe("c", "#", { qos: 0 });
    host.subscribe("c", "t/1");
    await settle();
    assert.deepEqual(session.received.map(({ topic, qos }) => `${topic} ${qos}`).sort(), ["t/1 1", "t/2 0"]);
    host.ack("c");
    await settle();
    assert.equal(store.messages.length, 0);
  });
}
