// Subscriptions over HTTP: made and ended on behalf of clients, so that stored messages come, and listed.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { lockDatabase } from "../../support/sqlite-lock.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { waitFor } from "../../support/wait-for.ts";
import { type ClientBroker, startClientBroker } from "./client-broker.ts";

const NONE = { qos: 0, nl: 0, rap: 0, rh: 0 };
const topics = (body: { data: readonly { topic: string }[] }) => body.data.map(({ topic }) => topic);

async function publish(
  { connect }: ClientBroker,
  topic: string,
  payloads: readonly string[],
  more = {},
): Promise<void> {
  const { client, end } = await connect("pub");
  for (const payload of payloads) await client.publishAsync(topic, payload, { qos: 1, ...more });
  await end();
}

for (const protocolVersion of [4, 5] as const) {
  test(`subscribing a connected client replays what is stored (MQTT ${protocolVersion})`, async (t) => {
    const broker = await startClientBroker(t);
    await publish(broker, "stored/a", ["1", "2", "3"]);
    const client = await broker.connect("c", { protocolVersion });
    let subacks = 0;
    client.client.on("packetreceive", ({ cmd }) => {
      if (cmd === "suback" || cmd === "unsuback") subacks += 1;
    });
    const made = await broker.api.post("/clients/c/subscribe", { topic: "stored/#", qos: 1 });
    assert.deepEqual(made, {
      status: 200,
      body: { ...NONE, clientid: "c", node: "omp@127.0.0.1", topic: "stored/#", qos: 1 },
    });
    await client.received(3);
    await publish(broker, "stored/b", ["4"]);
    await client.received(4);
    assert.deepEqual(client.payloads, ["1", "2", "3", "4"]);
    assert.equal((await broker.api.post("/clients/c/unsubscribe", { topic: "stored/#" })).status, 204);
    assert.deepEqual((await broker.api.get("/clients/c/subscriptions")).body, []);
    await publish(broker, "stored/b", ["5"]);
    // What a client publishes to itself comes after what was sent to it before.
    await client.client.subscribeAsync("end");
    assert.equal(subacks, 1, "of its own SUBSCRIBE");
    await client.client.publishAsync("end", "end");
    await client.received(5);
    assert.deepEqual(client.payloads.slice(4), ["end"]);
  });
}

test("a client that is away gets what is stored, and what comes meanwhile, when it is back", async (t) => {
  const broker = await startClientBroker(t);
  const { api } = broker;
  await publish(broker, "stored/a", ["1", "2"]);
  await broker.away("c");
  const { status, body } = await api.post("/clients/c/subscribe", { topic: "stored/a", qos: 2, rap: 1, rh: 2 });
  assert.deepEqual([status, body.qos, body.rap, body.rh], [200, 2, 1, 2]);
  await publish(broker, "stored/a", ["3"]);
  const back = await broker.connectPersistent("c");
  await back.received(3);
  assert.deepEqual(back.payloads, ["1", "2", "3"]);
});

test("what was subscribed for a client that is away is stored, and what was unsubscribed is not any more", async (t) => {
  const broker = await startClientBroker(t);
  const { api } = broker;
  await broker.away("c");
  for (const topic of ["stored/a", "stored/b"]) await api.post("/clients/c/subscribe", { topic, qos: 1 });
  assert.equal((await api.post("/clients/c/unsubscribe", { topic: "stored/b" })).status, 204);
  // Its session is gone: what comes back is what the plugin has stored.
  assert.equal((await api.delete("/clients/c")).status, 204);
  await broker.connect("c");
  const held = await waitFor(
    async () => {
      const { body } = await api.get("/clients/c/subscriptions");
      return body.length > 0 ? body : undefined;
    },
    { what: "the stored subscription" },
  );
  assert.deepEqual(held, [
    { ...NONE, clientid: "c", node: "omp@127.0.0.1", topic: "stored/a", qos: 1, durable: false },
  ]);
});

test("a subscription for a server-assigned client id is not stored", async (t) => {
  const { api, connect, away } = await startClientBroker(t);
  const { end } = await connect("", { properties: { sessionExpiryInterval: 3600 } });
  const { clientid } = (await api.get("/clients")).body.data[0];
  assert.notEqual(clientid, "");
  await end();
  await waitFor(async () => !(await api.get(`/clients/${clientid}`)).body.connected, { what: "the client to be away" });
  assert.equal((await api.post(`/clients/${clientid}/subscribe`, { topic: "stored/a", qos: 1 })).status, 200);
  await away("known");
  assert.equal((await api.post("/clients/known/subscribe", { topic: "stored/a", qos: 1 })).status, 200);
  for (const id of [clientid, "known"]) await api.delete(`/clients/${id}`);
  await connect("known");
  await waitFor(async () => (await api.get("/clients/known/subscriptions")).body.length === 1, {
    what: "the stored one",
  });
  await connect(clientid);
  // Behind a question to the store that was asked later.
  await api.delete("/clients/known");
  await connect("known");
  await waitFor(async () => (await api.get("/clients/known/subscriptions")).body.length === 1, { what: "it again" });
  assert.deepEqual((await api.get(`/clients/${clientid}/subscriptions`)).body, []);
});

test("retained messages go to who is subscribed, also past QoS 0 ones to a client that is away", async (t) => {
  const broker = await startClientBroker(t);
  await publish(broker, "r/0", ["zero"], { qos: 0, retain: true });
  await publish(broker, "r/1", ["one"], { retain: true });
  const here = await broker.connect("here");
  await broker.away("away");
  for (const id of ["here", "away"]) await broker.api.post(`/clients/${id}/subscribe`, { topic: "r/+", qos: 1 });
  await here.received(2);
  assert.deepEqual(here.payloads.sort(), ["one", "zero"]);
  const back = await broker.connectPersistent("away");
  await back.received(1);
  assert.deepEqual(
    back.packets.map(({ payload, retain }) => [payload.toString(), retain]),
    [["one", true]],
  );
});

test("options are those that the client's version has", async (t) => {
  const { api, connect } = await startClientBroker(t);
  await connect("v4", { protocolVersion: 4 });
  const { body } = await api.post("/clients/v4/subscribe", { topic: "t", qos: 1, nl: 1, rap: 1, rh: 1 });
  assert.deepEqual([body.nl, body.rap, body.rh], [0, 0, 1]);
  const v5 = await connect("v5");
  await api.post("/clients/v5/subscribe", { topic: "t", qos: 1, nl: 1 });
  await v5.client.publishAsync("t", "own", { qos: 1 });
  await api.post("/clients/v5/subscribe", { topic: "t", qos: 1 });
  await v5.client.publishAsync("t", "again", { qos: 1 });
  await v5.received(1);
  assert.deepEqual(v5.payloads, ["again"]);
});

test("what cannot be subscribed is refused, and says why", async (t) => {
  const { api, connect } = await startClientBroker(t, { broker: { maxSubscriptions: 2, maxTopicLevels: 3 } });
  await connect("c");
  const cases: [path: string, body: unknown, status: number, code: string][] = [
    ["/clients/nobody/subscribe", { topic: "t" }, 404, "CLIENTID_NOT_FOUND"],
    ["/clients/nobody/subscribe/bulk", [{ topic: "t" }], 404, "CLIENTID_NOT_FOUND"],
    ["/clients/nobody/unsubscribe", { topic: "t" }, 404, "CLIENTID_NOT_FOUND"],
    ["/clients/nobody/unsubscribe/bulk", [{ topic: "t" }], 404, "CLIENTID_NOT_FOUND"],
    ["/clients/c/subscribe", {}, 400, "BAD_REQUEST"],
    ["/clients/c/subscribe", { topic: 1 }, 400, "BAD_REQUEST"],
    ["/clients/c/subscribe", { topic: "t", qos: 3 }, 400, "BAD_REQUEST"],
    ["/clients/c/subscribe", { topic: "t", qos: "1" }, 400, "BAD_REQUEST"],
    ["/clients/c/subscribe", { topic: "t", nl: 2 }, 400, "BAD_REQUEST"],
    ["/clients/c/subscribe", { topic: "t", more: 1 }, 400, "BAD_REQUEST"],
    ["/clients/c/subscribe", "{", 400, "BAD_REQUEST"],
    ["/clients/c/subscribe", { topic: "" }, 400, "INVALID_PARAMETER"],
    ["/clients/c/subscribe", { topic: "a/#/b" }, 400, "INVALID_PARAMETER"],
    ["/clients/c/subscribe", { topic: "a/b/c/d" }, 400, "INVALID_PARAMETER"],
    ["/clients/c/subscribe", { topic: "$share/g/t", nl: 1 }, 400, "INVALID_PARAMETER"],
    ["/clients/c/subscribe/bulk", {}, 400, "BAD_REQUEST"],
    ["/clients/c/subscribe/bulk", Array.from({ length: 1001 }, () => ({ topic: "t" })), 400, "BAD_REQUEST"],
    ["/clients/c/unsubscribe", { topic: "a+" }, 400, "INVALID_PARAMETER"],
    ["/clients/c/unsubscribe/bulk", [{ topic: "t" }, { topic: "" }], 400, "INVALID_PARAMETER"],
    ["/clients/c/unsubscribe/bulk", Array.from({ length: 1001 }, () => ({ topic: "t" })), 400, "BAD_REQUEST"],
  ];
  for (const [path, body, status, code] of cases) {
    const answer = await api.post(path, body);
    assert.deepEqual([answer.status, answer.body.code], [status, code], `${path} ${JSON.stringify(body).slice(0, 60)}`);
    assert.ok(answer.body.message.length > 10, answer.body.message);
  }
  for (const topic of ["1", "2", "1"]) assert.equal((await api.post("/clients/c/subscribe", { topic })).status, 200);
  const full = await api.post("/clients/c/subscribe", { topic: "3" });
  assert.deepEqual([full.status, full.body.code], [400, "INVALID_PARAMETER"]);
  assert.match(full.body.message, /2 subscriptions, which is the limit/);
  assert.equal((await api.post("/clients/c/unsubscribe", { topic: "never/there" })).status, 204);
  assert.equal((await api.get("/clients/c/subscriptions")).body.length, 2);
  assert.equal((await api.get("/clients/nobody/subscriptions")).status, 404);
});

test("a change that the disk does not take is 503", async (t) => {
  const databasePath = join(temporaryDirectory(t), "broker.db");
  const { api, away } = await startClientBroker(t, { databasePath, broker: { saveTimeout: 4 } });
  for (const clientId of ["c", "d"]) await away(clientId);
  await api.post("/clients/c/subscribe", { topic: "v" });
  const lock = lockDatabase(databasePath);
  // All at once: each waits as long as the disk may take.
  const unsaved = await Promise.all([
    api.post("/clients/c/subscribe", { topic: "t" }),
    api.post("/clients/c/subscribe/bulk", [{ topic: "u" }]),
    api.post("/clients/c/unsubscribe", { topic: "v" }),
    api.delete("/clients/d"),
  ]);
  for (const { status, body } of unsaved) assert.deepEqual([status, body.code], [503, "SERVICE_UNAVAILABLE"]);
  lock.close();
  await away("e");
  assert.equal((await api.post("/clients/e/subscribe", { topic: "t" })).status, 200);
});

test("several at once: each that can be is made, and the others are told", async (t) => {
  const { api, connect } = await startClientBroker(t);
  const client = await connect("c");
  const all = await api.post("/clients/c/subscribe/bulk", [{ topic: "a" }, { topic: "b", qos: 1 }]);
  assert.deepEqual(all, {
    status: 200,
    body: [
      { ...NONE, clientid: "c", node: "omp@127.0.0.1", topic: "a" },
      { ...NONE, clientid: "c", node: "omp@127.0.0.1", topic: "b", qos: 1 },
    ],
  });
  const some = await api.post("/clients/c/subscribe/bulk", [
    { topic: "#/x", qos: 1 },
    { topic: "c" },
    { topic: "$share/g/d", nl: 1 },
  ]);
  assert.equal(some.status, 200);
  assert.deepEqual(some.body.succeed, [{ ...NONE, clientid: "c", node: "omp@127.0.0.1", topic: "c" }]);
  assert.deepEqual(
    some.body.failed.map(({ data }: { data: unknown }) => data),
    [
      ["c", "#/x", { ...NONE, qos: 1 }],
      ["c", "$share/g/d", { ...NONE, nl: 1 }],
    ],
  );
  for (const topic of ["a", "b", "c"]) await client.client.publishAsync(topic, topic);
  await client.received(3);
  assert.deepEqual(client.payloads, ["a", "b", "c"]);
  assert.equal(
    (await api.post("/clients/c/unsubscribe/bulk", [{ topic: "a" }, { topic: "c" }, { topic: "x" }])).status,
    204,
  );
  assert.deepEqual(
    (await api.get("/clients/c/subscriptions")).body.map(({ topic }: { topic: string }) => topic),
    ["b"],
  );
  assert.deepEqual(await api.post("/clients/c/subscribe/bulk", []), { status: 200, body: [] });
});

test("subscriptions are listed by page and by what they are", async (t) => {
  const { api, connect, away } = await startClientBroker(t);
  const { client } = await connect("c1");
  await client.subscribeAsync("a/b", { qos: 1 });
  await client.subscribeAsync("a/+", { qos: 2 });
  await client.subscribeAsync("$share/g/a/b");
  await away("c2");
  await api.post("/clients/c2/subscribe", { topic: "x", qos: 1 });
  const all = await api.get("/subscriptions");
  assert.deepEqual(topics(all.body), ["a/b", "a/+", "$share/g/a/b", "x"]);
  assert.deepEqual(all.body.data[3], {
    ...NONE,
    clientid: "c2",
    node: "omp@127.0.0.1",
    topic: "x",
    qos: 1,
    durable: false,
  });
  assert.deepEqual(all.body.meta, { page: 1, limit: 100, count: 4, hasnext: false });
  const second = await api.get("/subscriptions?limit=1&page=2");
  assert.deepEqual([topics(second.body), second.body.meta], [["a/+"], { page: 2, limit: 1, count: 4, hasnext: true }]);
  const cases: Record<string, string[]> = {
    "clientid=c2": ["x"],
    "clientid=nobody": [],
    "topic=a/b": ["a/b", "$share/g/a/b"],
    "topic=$share/g/a/b": ["$share/g/a/b"],
    "match_topic=a/%23": ["a/b", "a/+", "$share/g/a/b"],
    "match_topic=x": ["x"],
    "share_group=g": ["$share/g/a/b"],
    "share_group=other": [],
    "qos=1": ["a/b", "x"],
    "qos=1&clientid=c1": ["a/b"],
    "node=other@127.0.0.1": [],
    "durable=true": [],
    "durable=false&qos=2": ["a/+"],
  };
  for (const [query, expected] of Object.entries(cases)) {
    const { status, body } = await api.get(`/subscriptions?${query}`);
    assert.deepEqual([status, body.meta?.count, topics(body)], [200, expected.length, expected], query);
  }
  for (const query of ["qos=3", "page=0", "limit=1001", "more=1"]) {
    assert.equal((await api.get(`/subscriptions?${query}`)).body.code, "BAD_REQUEST", query);
  }
  assert.equal((await api.get("/subscriptions?match_topic=a%23")).body.code, "INVALID_PARAMETER");
});

test("topics are what is subscribed to, each once", async (t) => {
  const { api, connect } = await startClientBroker(t);
  for (const id of ["c1", "c2"]) {
    const { client } = await connect(id);
    await client.subscribeAsync(["a", "a/b/#", "a/+/c", "$share/g/s", "#", "+"]);
  }
  const { body } = await api.get("/topics");
  assert.deepEqual(topics(body).sort(), ["#", "+", "a", "a/+/c", "a/b/#", "s"]);
  assert.deepEqual(body.meta, { page: 1, limit: 100, count: 6, hasnext: false });
  assert.equal((await api.get("/topics?limit=4&page=2")).body.data.length, 2);
  assert.deepEqual(topics((await api.get("/topics?topic=a/%2B/c")).body), ["a/+/c"]);
  assert.deepEqual(topics((await api.get("/topics?node=other@127.0.0.1")).body), []);
  assert.deepEqual((await api.get("/topics/a%2F%2B%2Fc")).body, [{ topic: "a/+/c", node: "omp@127.0.0.1" }]);
  const missing = await api.get("/topics/b");
  assert.deepEqual([missing.status, missing.body.code], [404, "TOPIC_NOT_FOUND"]);
});

test("a shared subscription of members that are away has one replay", async (t) => {
  const broker = await startClientBroker(t);
  await publish(broker, "stored/s", ["1", "2"]);
  for (const id of ["m1", "m2"]) {
    await broker.away(id);
    await broker.api.post(`/clients/${id}/subscribe`, { topic: "$share/g/stored/s", qos: 1 });
  }
  const first = await broker.connectPersistent("m1");
  await first.received(2);
  const second = await broker.connectPersistent("m2");
  await publish(broker, "stored/s", ["3", "4"]);
  await waitFor(() => first.payloads.length + second.payloads.length === 4, { what: "all messages" });
  assert.deepEqual([...first.payloads, ...second.payloads].sort(), ["1", "2", "3", "4"]);
});
