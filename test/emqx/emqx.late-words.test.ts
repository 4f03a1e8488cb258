// What the process of a session that is over still says of messages, when the next one has them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DroppedReason, NodeOpcode } from "../../src/emqx/node-frames.ts";
import { startLinkedPlugin } from "./linked-plugin.ts";

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
