// A SUBSCRIBE with a QoS 0 filter and a better one that overlaps, told by EMQX one after the other: the better one counts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { waitFor } from "../support/wait-for.ts";
import { type LinkedPlugin, startLinkedPlugin } from "./linked-plugin.ts";
import type { ScriptedClient } from "./scripted-client.ts";

/** The session has answered, and gets message 1 so; acknowledges it. */
async function getsOnceAtQoS1({ node, settle }: LinkedPlugin, client: ScriptedClient): Promise<void> {
  node.answerCheck(client.clientId);
  await settle();
  await waitFor(() => client.received.length > 0, { what: "the message" });
  await settle();
  assert.deepEqual(
    client.received.map(({ payload, qos }) => [payload, qos]),
    [["1", 1]],
  );
  node.ack(client.clientId);
  await settle();
}

test("what a QoS 0 filter and a later one match is not sent at QoS 0", async (t) => {
  const linked = await startLinkedPlugin(t, { settlingPatience: 60_000 });
  const { node, store, settle } = linked;
  await node.publish("t/1", "1");
  const client = node.connect("c");
  await settle();
  client.answersCheck = false;
  node.subscribe("c", "#", { qos: 0 });
  await settle();
  // The same packet goes on, and its hooks have run before the question is answered.
  node.subscribe("c", "t/1", { qos: 1 });
  await getsOnceAtQoS1(linked, client);
  assert.deepEqual(store.messages, []);
});

test("a QoS 0 subscription that is changed or given up before it is told is told as it is", async (t) => {
  const linked = await startLinkedPlugin(t, { settlingPatience: 60_000 });
  const { node, plugin, settle } = linked;
  await node.publish("a", "1");
  await node.publish("b", "2");
  const client = node.connect("c");
  await settle();
  client.answersCheck = false;
  node.subscribe("c", "a", { qos: 0 });
  node.subscribe("c", "b", { qos: 0 });
  node.subscribe("c", "a", { qos: 1 });
  node.unsubscribe("c", "b");
  await getsOnceAtQoS1(linked, client);
  assert.equal(plugin.memory.owed, 0);
});
