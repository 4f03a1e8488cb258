// Sessions that follow each other: what the process of the one before still says, and clocks that go back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DroppedReason, NodeOpcode } from "../../src/emqx/node-frames.ts";
import { waitFor } from "../support/wait-for.ts";
import { startLinkedPlugin } from "./linked-plugin.ts";
import { setClock } from "./scripted-node.ts";

const lasting = { cleanStart: false, endsWithConnection: false };

for (const [how, options] of [
  ["has ended", { cleanStart: true, endsWithConnection: true }],
  ["another process follows", { cleanStart: false, endsWithConnection: false }],
] as const) {
  test(`a session that ${how} takes nothing from the next one`, async (t) => {
    const { node, store, emqx, settle } = await startLinkedPlugin(t);
    const { session } = node.connect("c", options);
    node.subscribe("c", "t");
    await settle();
    node.disconnect("c");
    await node.publish("t", "1");
    const next = node.connect("c", options);
    node.subscribe("c", "t");
    await settle();
    node.openGates();
    await node.publish("t", "2");
    await settle();
    assert.deepEqual(next.payloads, ["1", "2"], "one from the store, one live");
    for (const { id, topic } of next.unacknowledged) {
      for (const reason of [DroppedReason.Away, DroppedReason.GateClosed, DroppedReason.QueueFull]) {
        node.sendRaw("c", { opcode: NodeOpcode.Dropped, session, reason, id, topic });
      }
    }
    await settle();
    assert.equal(emqx.outstanding.size, 2);
    node.ack("c", 2);
    await settle();
    assert.deepEqual(next.payloads, ["1", "2"]);
    assert.deepEqual(store.messages, []);
  });
}

for (const [how, isSameNode] of [
  ["the clock of its node goes back", true],
  ["it moves to a node whose clock is behind", false],
] as const) {
  test(`a session is resumed although ${how}`, async (t) => {
    const { node, startNode, settle } = await startLinkedPlugin(t);
    const other = isSameNode ? node : await startNode({ nodeName: "behind" });
    node.connect("c", { cleanStart: false, endsWithConnection: false });
    node.subscribe("c", "t");
    await settle(...(isSameNode ? [] : [other]));
    node.disconnect("c");
    await node.publish("t", "1");
    await settle(...(isSameNode ? [] : [other]));
    setClock(0);
    const client = isSameNode
      ? node.connect("c", { cleanStart: false, endsWithConnection: false })
      : other.takeOver("c", node);
    await settle(...(isSameNode ? [] : [other]));
    assert.deepEqual(client.payloads, ["1"]);
    assert.equal(other.isCatchingUp("c", "t"), false);
  });
}

/** A link whose frames to the node can be kept back. */
function holdableLink() {
  let isHolding = false;
  const held: (() => void)[] = [];
  return {
    held,
    later(key: string, run: () => void): void {
      if (isHolding && key.startsWith("link")) held.push(run);
      else run();
    },
    hold(): void {
      isHolding = true;
    },
    letGo(): void {
      isHolding = false;
      for (const run of held.splice(0)) run();
    },
  };
}

test("what the process before was sent in vain comes before what is published when the next one is there", async (t) => {
  const { held, later, hold, letGo } = holdableLink();
  const { node, store, emqx, settle } = await startLinkedPlugin(t, { node: { later, connections: 1 } });
  node.connect("c", lasting);
  node.subscribe("c", "t");
  await settle();
  node.disconnect("c");
  for (const payload of ["1", "2", "3"]) await node.publish("t", payload);
  hold();
  node.connect("c", lasting);
  await waitFor(() => emqx.outstanding.size === 3, { what: "three are on their way" });
  const client = node.connect("c", lasting);
  const publish = node.publish("t", "4");
  await waitFor(() => held.length >= 6, { what: "they are sent to this one" });
  letGo();
  await publish;
  await settle();
  assert.deepEqual(client.payloads, ["1", "2", "3", "4"]);
  node.ack("c", 4);
  await settle();
  assert.deepEqual(store.messages, []);
});

test("what the process before was sent in vain comes before what there was no room for, and at once", async (t) => {
  const { held, later, hold, letGo } = holdableLink();
  const { node, store, emqx, settle, countStored } = await startLinkedPlugin(t, { node: { later, connections: 1 } });
  const narrow = { ...lasting, receiveMaximum: 3 };
  node.connect("c", narrow);
  node.subscribe("c", "t");
  await settle();
  node.disconnect("c");
  for (const payload of ["1", "2", "3", "4", "5"]) await node.publish("t", payload);
  hold();
  node.connect("c", narrow);
  await waitFor(() => emqx.outstanding.size === 3, { what: "three are on their way" });
  const client = node.connect("c", narrow);
  await waitFor(() => held.length >= 4, { what: "it is asked what it has" });
  // Behind the replay's own call of the store.
  for (let calls = 0; calls < 3; calls += 1) await countStored();
  assert.equal(emqx.outstanding.size, 3, "nothing is sent before it has answered");
  letGo();
  await settle();
  assert.deepEqual(client.payloads, ["1", "2", "3"]);
  node.ack("c", 3);
  await settle();
  assert.deepEqual(client.payloads, ["1", "2", "3", "4", "5"]);
  node.ack("c", 2);
  await settle();
  assert.deepEqual(store.messages, []);
});

test("a session whose process does not say what it has goes live after a second", async (t) => {
  const { node, settle, emqx } = await startLinkedPlugin(t);
  const client = node.connect("c", lasting);
  node.subscribe("c", "t");
  await settle();
  await node.publish("t", "1");
  node.disconnect("c");
  client.answersCheck = false;
  node.connect("c", lasting);
  await settle();
  assert.equal(node.isCatchingUp("c", "t"), true);
  assert.equal(emqx.outstanding.size, 1);
  await waitFor(() => !node.isCatchingUp("c", "t"), { what: "LIVE" });
  assert.deepEqual(client.payloads, ["1"], "sent again by its session");
});
