// Sessions that follow each other: what the process of the one before still says, and clocks that go back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DroppedReason, NodeOpcode } from "../../src/emqx/node-frames.ts";
import { startLinkedPlugin } from "./linked-plugin.ts";
import { setClock } from "./scripted-node.ts";

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
