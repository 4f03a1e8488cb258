// What waits for a client and what is in flight to it, over HTTP.

import assert from "node:assert/strict";
import { test } from "node:test";
import { waitFor } from "../../support/wait-for.ts";
import { type ClientBroker, startClientBroker } from "./client-broker.ts";

interface Told {
  readonly msgid: string;
  readonly payload?: string;
}

const texts = (data: readonly Told[]) => data.map(({ payload = "" }) => Buffer.from(payload, "base64").toString());

/** A client that is away, for which these messages wait. */
async function withQueue(broker: ClientBroker, payloads: readonly (string | Buffer)[]): Promise<void> {
  await broker.away("c");
  await broker.api.post("/clients/c/subscribe", { topic: "t", qos: 1 });
  const { client } = await broker.connect("pub");
  for (const payload of payloads) await client.publishAsync("t", payload, { qos: 2 });
}

test("what waits is told from its beginning, and from a position on", async (t) => {
  const broker = await startClientBroker(t);
  await withQueue(broker, ["1", "2", "3", "4", "5"]);
  const { status, body } = await broker.api.get("/clients/c/mqueue_messages?limit=2");
  assert.equal(status, 200);
  const [first, second] = body.data;
  const { msgid, publish_at, ...others } = first;
  assert.deepEqual(others, {
    topic: "t",
    qos: 1,
    from_clientid: "pub",
    mqueue_priority: 0,
    payload: Buffer.from("1").toString("base64"),
  });
  assert.match(msgid, /^[0-9A-F]{32}$/);
  assert.ok(Math.abs(publish_at - Date.now()) < 60_000);
  assert.deepEqual(body.meta, { start: msgid, position: second.msgid });
  const read = async (query: string) => (await broker.api.get(`/clients/c/mqueue_messages?${query}`)).body;
  const next = await read(`limit=2&position=${body.meta.position}`);
  assert.deepEqual(texts(next.data), ["3", "4"]);
  const last = await read(`position=${next.meta.position}`);
  assert.deepEqual(texts(last.data), ["5"]);
  assert.deepEqual(await read(`position=${last.meta.position}`), {
    data: [],
    meta: { start: "none", position: last.meta.position },
  });
  assert.deepEqual(texts((await read("position=none")).data), ["1", "2", "3", "4", "5"]);
  // Nothing has left the queue by that.
  assert.equal((await broker.api.get("/clients/c")).body.mqueue_len, 5);
});

test("a position whose message has left the queue leads to what came after it", async (t) => {
  const broker = await startClientBroker(t, { broker: { maxMqueueLen: 10 } });
  await withQueue(broker, ["1", "2", "3"]);
  const { body } = await broker.api.get("/clients/c/mqueue_messages?limit=1");
  // The first two are in flight from now on.
  const client = await broker.connectPersistent("c", {
    properties: { sessionExpiryInterval: 3600, receiveMaximum: 2 },
    customHandleAcks: () => {},
  });
  await waitFor(async () => (await broker.api.get("/clients/c")).body.mqueue_len === 1, { what: "two to be sent" });
  const rest = await broker.api.get(`/clients/c/mqueue_messages?position=${body.meta.position}`);
  assert.deepEqual(texts(rest.body.data), ["3"]);
  assert.equal(client.client.connected, true);
});

test("what is in flight is told in the order of sending", async (t) => {
  const broker = await startClientBroker(t);
  await withQueue(broker, ["1", "2", "3", "4"]);
  await broker.connectPersistent("c", {
    properties: { sessionExpiryInterval: 3600, receiveMaximum: 3 },
    customHandleAcks: () => {},
  });
  await waitFor(async () => (await broker.api.get("/clients/c")).body.inflight_cnt === 3, { what: "three to be sent" });
  const { body } = await broker.api.get("/clients/c/inflight_messages?limit=2");
  assert.deepEqual(texts(body.data), ["1", "2"]);
  assert.ok(body.data.every((message: object) => !("mqueue_priority" in message)));
  const rest = await broker.api.get(`/clients/c/inflight_messages?position=${body.meta.position}`);
  assert.deepEqual(texts(rest.body.data), ["3"]);
  const end = await broker.api.get(`/clients/c/inflight_messages?position=${rest.body.meta.position}`);
  assert.deepEqual(end.body.data, []);
  for (const position of ["x", "70000", "-1"]) {
    const wrong = await broker.api.get(`/clients/c/inflight_messages?position=${position}`);
    assert.deepEqual([wrong.status, wrong.body.code], [400, "BAD_REQUEST"], position);
  }
});

test("payloads come as they are asked for, as many bytes as asked for, at least one", async (t) => {
  const broker = await startClientBroker(t);
  await withQueue(broker, ["grün", "x".repeat(100), "y".repeat(100), Buffer.from([0xff])]);
  const read = (query: string) => broker.api.get(`/clients/c/mqueue_messages?${query}`);
  const plain = await read("payload=plain&limit=3");
  assert.deepEqual(
    plain.body.data.map(({ payload }: Told) => payload),
    ["grün", "x".repeat(100), "y".repeat(100)],
  );
  const none = await read("payload=none");
  assert.equal(none.body.data.length, 4);
  assert.ok(none.body.data.every((message: Told) => !("payload" in message)));
  assert.equal((await read("max_payload_bytes=104")).body.data.length, 1);
  assert.equal((await read("max_payload_bytes=105")).body.data.length, 2);
  assert.equal((await read("max_payload_bytes=1")).body.data.length, 1);
  const binary = await read("payload=plain");
  assert.deepEqual([binary.status, binary.body.code], [400, "INVALID_PARAMETER"]);
  for (const query of ["payload=hex", "limit=0", "limit=1001", "max_payload_bytes=0", "max_payload_bytes=4194305"]) {
    assert.equal((await read(query)).body.code, "BAD_REQUEST", query);
  }
  for (const name of ["mqueue_messages", "inflight_messages"]) {
    const { status, body } = await broker.api.get(`/clients/nobody/${name}`);
    assert.deepEqual([status, body.code], [404, "CLIENTID_NOT_FOUND"]);
  }
});
