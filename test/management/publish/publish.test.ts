// Publishing over HTTP with the offline message plugin: what is answered, what is stored, what clients get.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { builtInPlugin } from "../../../src/cli/built-in-plugin.ts";
import { connectClient } from "../../support/mqtt-client.ts";
import { lockDatabase } from "../../support/sqlite-lock.ts";
import { startClientBroker } from "../clients/client-broker.ts";

const NOBODY = { reason_code: 16, message: "no_matching_subscribers" };
const ID = /^[0-9A-F]{32}$/;

for (const protocolVersion of [4, 5] as const) {
  test(`a message goes to who is subscribed (MQTT ${protocolVersion})`, async (t) => {
    const { api, connect } = await startClientBroker(t);
    const { client, packets, received } = await connect("c", { protocolVersion });
    await client.subscribeAsync("t/#", { qos: 2 });
    const { status, body } = await api.post("/publish", { topic: "t/a", payload: "grün", qos: 1 });
    assert.equal(status, 200);
    assert.match(body.id, ID);
    const base64 = Buffer.from([0, 255]).toString("base64");
    await api.post("/publish", { topic: "t/b", payload: base64, payload_encoding: "base64" });
    await api.post("/publish", {
      topic: "t/c",
      payload: base64,
      encoding: "base64",
      qos: 2,
      retain: true,
      clientid: "x",
    });
    await received(3);
    assert.deepEqual(
      packets.map(({ topic, payload, qos, retain }) => [topic, Buffer.from(payload).toString("hex"), qos, retain]),
      [
        ["t/a", Buffer.from("grün").toString("hex"), 1, false],
        ["t/b", "00ff", 0, false],
        ["t/c", "00ff", 2, false],
      ],
    );
    const later = await connect("later", { protocolVersion });
    await later.client.subscribeAsync("t/#", { qos: 2 });
    await later.received(1);
    assert.deepEqual([later.packets[0]?.topic, later.packets[0]?.retain], ["t/c", true]);
  });
}

test("properties go along", async (t) => {
  const { api, connect } = await startClientBroker(t);
  const { client, packets, received } = await connect("c");
  await client.subscribeAsync("t");
  const { status } = await api.post("/publish", {
    topic: "t",
    payload: "p",
    properties: {
      payload_format_indicator: 1,
      message_expiry_interval: 60,
      response_topic: "answer",
      correlation_data: "id",
      user_properties: { a: "1", b: "2" },
      content_type: "text/plain",
    },
  });
  assert.equal(status, 200);
  await received(1);
  const { properties } = packets[0] ?? {};
  assert.deepEqual(
    { ...properties, userProperties: { ...properties?.userProperties } },
    {
      payloadFormatIndicator: true,
      messageExpiryInterval: 60,
      responseTopic: "answer",
      correlationData: Buffer.from("id"),
      userProperties: { a: "1", b: "2" },
      contentType: "text/plain",
    },
  );
});

test("a message that nobody gets is 202, unless it is stored: then it comes later", async (t) => {
  const { api, connect } = await startClientBroker(t);
  assert.deepEqual(await api.post("/publish", { topic: "t", payload: "x", qos: 1 }), { status: 202, body: NOBODY });
  assert.deepEqual(await api.post("/publish", { topic: "stored/a", payload: "0" }), { status: 202, body: NOBODY });
  const stored = await api.post("/publish", { topic: "stored/a", payload: "1", qos: 1 });
  assert.equal(stored.status, 200);
  assert.match(stored.body.id, ID);
  await api.post("/publish", { topic: "stored/a", payload: "2", qos: 2 });
  const { client, received, payloads } = await connect("c");
  await client.subscribeAsync("stored/#", { qos: 1 });
  await received(2);
  assert.deepEqual(payloads, ["1", "2"]);
});

test("a message waits in the session of a client that is away", async (t) => {
  const { api, away, connectPersistent } = await startClientBroker(t);
  await away("c");
  await api.post("/clients/c/subscribe", { topic: "t", qos: 1 });
  const { body } = await api.post("/publish", { topic: "t", payload: "1", qos: 1 });
  const { data } = (await api.get("/clients/c/mqueue_messages")).body;
  assert.deepEqual(
    data.map((one: { msgid: string; from_clientid: string }) => [one.msgid, one.from_clientid]),
    [[body.id, "http_api"]],
  );
  const { received, payloads } = await connectPersistent("c");
  await received(1);
  assert.deepEqual(payloads, ["1"]);
});

test("what cannot be published is 400, and says why", async (t) => {
  const { api, connect } = await startClientBroker(t, { broker: { maxPacketSize: 1000, maxTopicLevels: 3 } });
  const { client, payloads, received } = await connect("c");
  await client.subscribeAsync("#");
  const withProperties = (properties: object) => ({ topic: "t", payload: "x", properties });
  const refused: [body: object, reasonCode: number][] = [
    [{ topic: "", payload: "x" }, 144],
    [{ topic: "t/#", payload: "x" }, 144],
    [{ topic: "t\0", payload: "x" }, 144],
    [{ topic: "a/b/c/d", payload: "x" }, 144],
    [{ topic: "t", payload: "x".repeat(1000) }, 151],
    [{ topic: "$SYS/x", payload: "x", qos: 1 }, 135],
    [{ topic: "$SYS/x", payload: "x" }, 135],
    [{ topic: "t", payload: "no base64", payload_encoding: "base64" }, 131],
    [{ topic: "t", payload: "AP8", payload_encoding: "base64" }, 131],
    [{ topic: "t", payload: "\ud800" }, 131],
    [withProperties({ response_topic: "a/+" }), 131],
    [withProperties({ content_type: "\0" }), 131],
    [withProperties({ correlation_data: "x".repeat(65_536) }), 131],
    [withProperties({ user_properties: { "\0": "x" } }), 131],
    [withProperties({ user_properties: { a: "x".repeat(65_536) } }), 131],
  ];
  for (const [body, reasonCode] of refused) {
    const answer = await api.post("/publish", body);
    const what = JSON.stringify(body).slice(0, 80);
    assert.deepEqual([answer.status, answer.body.reason_code], [400, reasonCode], what);
    assert.ok(answer.body.message.length > 10, answer.body.message);
  }
  const malformed: unknown[] = [
    {},
    [],
    null,
    "{",
    { topic: "t" },
    { payload: "x" },
    { topic: 1, payload: "x" },
    { topic: "t", payload: 1 },
    { topic: "t", payload: "x", qos: 3 },
    { topic: "t", payload: "x", qos: "1" },
    { topic: "t", payload: "x", retain: "true" },
    { topic: "t", payload: "x", payload_encoding: "hex" },
    { topic: "t", payload: "x", more: 1 },
    withProperties({ message_expiry_interval: -1 }),
    withProperties({ message_expiry_interval: 4_294_967_296 }),
    withProperties({ payload_format_indicator: 2 }),
    withProperties({ user_properties: { a: 1 } }),
    withProperties({ user_properties: ["a"] }),
    withProperties({ more: 1 }),
  ];
  for (const body of malformed) {
    const answer = await api.post("/publish", body);
    assert.deepEqual([answer.status, answer.body.code], [400, "BAD_REQUEST"], JSON.stringify(body));
  }
  const large = await api.post("/publish", { topic: "t", payload: "x".repeat(4 * 1024 * 1024) });
  assert.deepEqual([large.status, large.body.code], [413, "BAD_REQUEST"]);
  await api.post("/publish", { topic: "t", payload: "end" });
  await received(1);
  assert.deepEqual(payloads, ["end"]);
});

test("several at once come in their order; one that is wrong keeps all from being published", async (t) => {
  const { api, connect } = await startClientBroker(t);
  const { client, payloads, received } = await connect("c");
  await client.subscribeAsync(["t", "stored/#"], { qos: 1 });
  const item = (number: number) => ({
    topic: number % 2 ? "t" : "stored/a",
    payload: String(number),
    qos: 1,
  });
  const numbers = Array.from({ length: 100 }, (_, number) => number);
  const all = await api.post("/publish/bulk", numbers.map(item));
  assert.equal(all.status, 200);
  assert.equal(new Set(all.body.map(({ id }: { id: string }) => id)).size, 100);
  await received(100);
  // Those that are stored may come from the store, where the subscription still looks for older ones: MQTT orders them by topic.
  for (const rest of [0, 1]) {
    const ofTopic = payloads.filter((payload) => Number(payload) % 2 === rest);
    assert.deepEqual(ofTopic, numbers.filter((number) => number % 2 === rest).map(String));
  }
  const wrong = await api.post("/publish/bulk", [item(1), { topic: "#", payload: "x" }, item(2)]);
  assert.deepEqual([wrong.status, wrong.body.reason_code], [400, 144]);
  assert.match(wrong.body.message, /^Message 2: /);
  const some = await api.post("/publish/bulk", [{ topic: "nobody", payload: "x" }, item(1)]);
  assert.equal(some.status, 202);
  assert.deepEqual(some.body[0], NOBODY);
  assert.match(some.body[1].id, ID);
  await received(101);
  assert.equal(payloads.length, 101);
  for (const body of [[], {}, [1], [item(1), {}], Array.from({ length: 1001 }, () => item(1))]) {
    const { status, body: told } = await api.post("/publish/bulk", body);
    assert.deepEqual([status, told.code], [400, "BAD_REQUEST"], JSON.stringify(body).slice(0, 60));
  }
});

test("a message that cannot be stored is 503 and goes nowhere", async (t) => {
  const builtIn = builtInPlugin(
    'sqlite { enable = true, topics = ["stored/#"], max_messages = 1 }\nmysql {}\nredis {}\nstore_timeout = 500',
  );
  const { api, connect, folder } = await startClientBroker(t, { builtIn });
  const { client, payloads, received } = await connect("c");
  await client.subscribeAsync("t", { qos: 1 });
  const message = { topic: "stored/a", payload: "x", qos: 1 };
  assert.equal((await api.post("/publish", message)).status, 200);
  const full = await api.post("/publish", message);
  assert.deepEqual([full.status, full.body.reason_code], [503, 151]);
  const lock = lockDatabase(join(folder, "emqx_offline_message_plugin", "messages.db"));
  t.after(() => lock.close());
  const away = await api.post("/publish", message);
  assert.deepEqual([away.status, away.body.reason_code], [503, 131]);
  assert.match(away.body.message, /publish it again later/);
  const some = await api.post("/publish/bulk", [message, { topic: "t", payload: "y", qos: 1 }]);
  assert.equal(some.status, 503);
  assert.equal(some.body[0].reason_code, 131);
  assert.match(some.body[1].id, ID);
  await client.publishAsync("t", "end", { qos: 1 });
  await received(2);
  assert.deepEqual(payloads, ["y", "end"]);
});

test("a publisher's key may publish", async (t) => {
  const { ask, address } = await startClientBroker(t);
  const { client } = await connectClient(t, address, { clientId: "c" });
  await client.subscribeAsync("t");
  const headers = { "content-type": "application/json" };
  const publish = (path: string, credentials: string, body: unknown) =>
    ask({ method: "POST", path, credentials, headers, body: JSON.stringify(body) });
  const message = { topic: "t", payload: "x" };
  assert.equal((await publish("/publish", "publisher:secret", message)).status, 200);
  assert.equal((await publish("/publish/bulk", "publisher:secret", [message])).status, 200);
  assert.equal((await publish("/publish", "viewer:secret", message)).status, 403);
  assert.equal((await publish("/publish", "", message)).status, 401);
});
