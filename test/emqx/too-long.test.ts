// Messages of about the length of the longest frame: what cannot be delivered is not stored.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startLinkedPlugin } from "./linked-plugin.ts";

const LONGEST = 5000;

test("a message is refused that would be too long for DELIVER, and all that are stored arrive", async (t) => {
  const { node, store, settle } = await startLinkedPlugin(t, { linkLimits: { longestFrame: LONGEST } });
  const topic = "a/b/c/d";
  const stored: string[] = [];
  for (let bytes = LONGEST - 400; bytes < LONGEST - 80; bytes += 10) {
    const payload = "x".repeat(bytes);
    const outcome = await node.publish(topic, payload);
    if (outcome.result === "stored") stored.push(payload);
    else assert.deepEqual([outcome.result, "reasonCode" in outcome && outcome.reasonCode], ["refused", 0x97]);
  }
  assert.ok(stored.length > 5 && stored.length < 30, `${stored.length} are stored`);
  const client = node.connect("c", { receiveMaximum: 100 });
  node.subscribe("c", "+/+/+/+/#");
  await settle();
  assert.deepEqual(client.payloads, stored);
  node.ack("c", 100);
  await settle();
  assert.deepEqual(store.messages, []);
});
