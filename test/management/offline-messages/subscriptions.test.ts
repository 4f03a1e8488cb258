// Stored subscriptions are shown and removed over HTTP, and clients that catch up are listed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connectClient } from "../../support/mqtt-client.ts";
import { waitFor } from "../../support/wait-for.ts";
import { allPages, refused, startMessageBroker } from "./message-broker.ts";

test("a client's stored subscriptions are shown, listed and removed: then they do not come back", async (t) => {
  const broker = await startMessageBroker(t);
  const client = await connectClient(t, broker.address, { clientId: "c 1" });
  const options = { qos: 2, nl: true, rap: true, rh: 1, properties: { subscriptionIdentifier: 7 } } as const;
  await client.client.subscribeAsync("a/#", options);
  await client.client.subscribeAsync("b", { qos: 1 });
  const path = "/subscriptions/c%201";
  const { body } = await broker.get(path);
  assert.deepEqual(body, [
    { clientid: "c 1", topic: "a/#", qos: 2, nl: 1, rap: 1, rh: 1, subscription_identifier: 7 },
    { clientid: "c 1", topic: "b", qos: 1, nl: 0, rap: 0, rh: 0 },
  ]);
  for (const clientId of ["d", "e"]) {
    const other = await connectClient(t, broker.address, { clientId });
    await other.client.subscribeAsync("x", { qos: 1 });
  }
  await waitFor(async () => (await broker.page("/subscriptions")).data.length === 3, { what: "all stored" });
  for (const limit of [1, 2, 3, 100]) {
    const listed = await allPages(broker, "/subscriptions", { limit });
    assert.deepEqual(listed, [{ clientid: "c 1" }, { clientid: "d" }, { clientid: "e" }]);
  }
  const remove = (topic: string, credentials?: string) =>
    broker.send("DELETE", path, { query: { topic }, ...(credentials === undefined ? {} : { credentials }) });
  refused(await remove("a/#", "viewer:secret"), 403, "UNAUTHORIZED_ROLE");
  assert.equal((await remove("a/#")).status, 204);
  assert.match(refused(await remove("a/#"), 404, "NOT_FOUND"), /c 1 to a\/#/);
  refused(await broker.send("DELETE", path), 400, "BAD_REQUEST");
  await client.end();
  const again = await connectClient(t, broker.address, { clientId: "c 1" });
  await broker.publisher.client.publishAsync("a/1", "not subscribed", { qos: 1 });
  await broker.publisher.client.publishAsync("b", "subscribed", { qos: 1 });
  await again.received(1);
  assert.deepEqual(again.payloads, ["subscribed"]);
  refused(await broker.get("/subscriptions/nobody"), 404, "NOT_FOUND");
});

test("clients that catch up are listed, with how far they are", async (t) => {
  const broker = await startMessageBroker(t);
  for (const payload of "12345") await broker.publisher.client.publishAsync("t", payload, { qos: 1 });
  assert.deepEqual(await broker.page("/replays"), { data: [], meta: { limit: 100, count: 0 } });
  const client = await broker.connect("slow", 2);
  client.sendSubscribe([{ topicFilter: "t" }, { topicFilter: "$share/g/t" }]);
  await client.next("suback");
  await client.nextPayloads(2);
  const { data } = await broker.page("/messages", { payload: "none" });
  // The second subscription may not have come so far yet.
  const listed = await waitFor(
    async () => {
      const all = await allPages(broker, "/replays", { limit: 1 });
      return all.length === 2 ? all : undefined;
    },
    { what: "both replays" },
  );
  const states = listed.map(({ clientid, topic, status }) => ({ clientid, topic, status }));
  assert.deepEqual(states, [
    { clientid: undefined, topic: "$share/g/t", status: "catching_up" },
    { clientid: "slow", topic: "t", status: "catching_up" },
  ]);
  const own = await broker.get("/replays/slow");
  const { replays, ...rest } = own.body as { replays: { topic: string; last_msgid: string; read_ahead: number }[] };
  assert.deepEqual(rest, { clientid: "slow", inflight: 2, receive_maximum: 2 });
  const ofTopic = replays.find(({ topic }) => topic === "t");
  assert.deepEqual([ofTopic?.last_msgid, ofTopic?.read_ahead], [data[1]?.msgid, 3]);
  assert.match(refused(await broker.get("/replays/nobody"), 404, "NOT_FOUND"), /nobody is connected/);
});
