// What is kept for the next engine while one gives way: in its order, once, and no more than the bound.

import assert from "node:assert/strict";
import { test } from "node:test";
import { HeldPublishes } from "../../src/plugin/held-publishes.ts";
import type { Hooks } from "../../src/plugin/hooks.ts";

test("what clients acknowledge and subscribe is told once, in its order, up to the bound", () => {
  const held = new HeldPublishes(3);
  const told: string[] = [];
  const next: Pick<Hooks, "messageAcked" | "sessionSubscribed" | "sessionUnsubscribed"> = {
    messageAcked: (clientId, { id }) => told.push(`${clientId} has ${id}`),
    sessionSubscribed: ({ topicFilter }) => told.push(`subscribed ${topicFilter}`),
    sessionUnsubscribed: (_, topicFilter) => told.push(`unsubscribed ${topicFilter}`),
  };
  const subscription = { clientId: "c", qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  held.sessionUnsubscribed("c", "t");
  held.messageAcked("c", { id: "1", topic: "t" });
  held.sessionSubscribed(
    { ...subscription, topicFilter: "t" },
    { isNew: true, restored: false, clientIdAssigned: false },
  );
  held.messageAcked("c", { id: "2", topic: "t" });
  held.tellEvents(next as Hooks);
  held.tellEvents(next as Hooks);
  assert.deepEqual(told, ["unsubscribed t", "c has 1", "subscribed t"]);
});
