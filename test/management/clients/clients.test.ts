// Clients over HTTP: listed by page and by what they are, shown, kicked.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { IDisconnectPacket } from "mqtt";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { waitFor, within } from "../../support/wait-for.ts";
import { startClientBroker } from "./client-broker.ts";

const ids = (body: { data: readonly { clientid: string }[] }) => body.data.map(({ clientid }) => clientid);

test("a client is shown with what is known of its connection and its session", async (t) => {
  const { api, address, connect } = await startClientBroker(t);
  const before = Date.now();
  const { client } = await connect("c/1", {
    username: "name",
    keepalive: 33,
    properties: { sessionExpiryInterval: 100, receiveMaximum: 7 },
  });
  await client.subscribeAsync("a/#", { qos: 1 });
  await client.publishAsync("nobody", "12345", { qos: 2 });
  const { status, body } = await api.get("/clients/c%2F1");
  assert.equal(status, 200);
  const { created_at, connected_at, port, recv_oct, send_oct, ...others } = body;
  assert.deepEqual(others, {
    clientid: "c/1",
    node: "omp@127.0.0.1",
    connected: true,
    username: "name",
    ip_address: address.host,
    proto_name: "MQTT",
    proto_ver: 5,
    keepalive: 33,
    clean_start: true,
    expiry_interval: 100,
    subscriptions_cnt: 1,
    subscriptions_max: 10_000,
    inflight_cnt: 0,
    inflight_max: 7,
    mqueue_len: 0,
    mqueue_max: 1000,
    mqueue_dropped: 0,
    awaiting_rel_cnt: 0,
    recv_pkt: 4,
    recv_msg: 1,
    send_pkt: 4,
    send_msg: 0,
  });
  for (const time of [created_at, connected_at]) {
    assert.ok(Date.parse(time) >= before && Date.parse(time) <= Date.now(), time);
  }
  assert.equal(port, (client.stream as { localPort?: number }).localPort);
  assert.ok(recv_oct > 40 && send_oct > 10, `${recv_oct} and ${send_oct} bytes`);
});

test("a client that is away is shown with its session, and one without a session is not there", async (t) => {
  const { api, connect, connectPersistent } = await startClientBroker(t, { broker: { maxMqueueLen: 2 } });
  const client = await connectPersistent("old", { protocolVersion: 4, username: "u" });
  await client.client.subscribeAsync("t", { qos: 1 });
  await client.end();
  const publisher = await connect("pub");
  for (const payload of ["1", "2", "3"]) await publisher.client.publishAsync("t", payload, { qos: 1 });
  await publisher.end();
  const { body } = await api.get("/clients/old");
  const { connected, proto_ver, username, expiry_interval, mqueue_len, mqueue_max, mqueue_dropped } = body;
  assert.deepEqual(
    { connected, proto_ver, username, expiry_interval, mqueue_len, mqueue_max, mqueue_dropped },
    {
      connected: false,
      proto_ver: 4,
      username: "u",
      expiry_interval: 7200,
      mqueue_len: 2,
      mqueue_max: 2,
      mqueue_dropped: 1,
    },
  );
  assert.ok(Date.parse(body.disconnected_at) >= Date.parse(body.connected_at));
  await waitFor(async () => (await api.get("/clients/pub")).status === 404, { what: "the end of the session" });
  const missing = await api.get("/clients/pub");
  assert.deepEqual(missing.body, { code: "CLIENTID_NOT_FOUND", message: "Client ID not found" });
});

test("after a restart of the broker its sessions are there, without what was of their connections", async (t) => {
  const directory = temporaryDirectory(t);
  const options = { folder: `${directory}/plugins`, databasePath: `${directory}/broker.db` };
  const first = await startClientBroker(t, options);
  await first.away("c");
  const { body: before } = await first.api.get("/clients/c");
  await first.stop();
  const { api } = await startClientBroker(t, options);
  const { body: after } = await api.get("/clients/c");
  const { created_at, disconnected_at, ...others } = after;
  assert.ok(Math.abs(Date.parse(created_at) - Date.parse(before.created_at)) < 1000, created_at);
  assert.ok(Math.abs(Date.parse(disconnected_at) - Date.parse(before.disconnected_at)) < 1000, disconnected_at);
  assert.deepEqual(others, {
    clientid: "c",
    node: "omp@127.0.0.1",
    connected: false,
    expiry_interval: 3600,
    subscriptions_cnt: 0,
    subscriptions_max: 10_000,
    inflight_cnt: 0,
    inflight_max: 32,
    mqueue_len: 0,
    mqueue_max: 1000,
    mqueue_dropped: 0,
    awaiting_rel_cnt: 0,
  });
});

test("clients are listed by page", async (t) => {
  const { api, away } = await startClientBroker(t);
  for (let number = 1; number <= 5; number++) await away(`c${number}`);
  const page = async (query: string) => {
    const { body } = await api.get(`/clients${query}`);
    return [ids(body), body.meta];
  };
  assert.deepEqual(await page(""), [["c1", "c2", "c3", "c4", "c5"], { page: 1, limit: 100, count: 5, hasnext: false }]);
  assert.deepEqual(await page("?limit=2"), [["c1", "c2"], { page: 1, limit: 2, count: 5, hasnext: true }]);
  assert.deepEqual(await page("?limit=2&page=2"), [["c3", "c4"], { page: 2, limit: 2, count: 5, hasnext: true }]);
  assert.deepEqual(await page("?limit=2&page=3"), [["c5"], { page: 3, limit: 2, count: 5, hasnext: false }]);
  assert.deepEqual(await page("?limit=5&page=1"), [
    ["c1", "c2", "c3", "c4", "c5"],
    { page: 1, limit: 5, count: 5, hasnext: false },
  ]);
  assert.deepEqual(await page("?limit=2&page=9"), [[], { page: 9, limit: 2, count: 5, hasnext: false }]);
});

test("clients are listed by what they are", async (t) => {
  const { api, connect, away } = await startClientBroker(t);
  await away("away-5", { username: "ann" });
  await connect("here-4", { protocolVersion: 4, username: "bob" });
  await connect("here-5", { clean: false });
  const { body: here } = await api.get("/clients/here-4");
  const later = new Date(Date.parse(here.connected_at) + 3_600_000).toISOString();
  const cases: Record<string, string[]> = {
    "conn_state=connected": ["here-4", "here-5"],
    "conn_state=disconnected": ["away-5"],
    "conn_state=idle": [],
    "username=ann": ["away-5"],
    "username=ann&username=bob": ["away-5", "here-4"],
    "like_username=o": ["here-4"],
    "clientid=here-5": ["here-5"],
    "clientid=here-5&clientid=away-5&clientid=nobody": ["here-5", "away-5"],
    "clientid=here-5&clientid=away-5&conn_state=connected": ["here-5"],
    "like_clientid=-5": ["away-5", "here-5"],
    "proto_ver=4": ["here-4"],
    "clean_start=true": ["here-4"],
    "clean_start=false": ["away-5", "here-5"],
    "ip_address=127.0.0.1": ["away-5", "here-4", "here-5"],
    "ip_address=10.0.0.1": [],
    "node=omp@127.0.0.1": ["away-5", "here-4", "here-5"],
    "node=other@127.0.0.1": [],
    [`gte_connected_at=${Date.parse(here.connected_at)}&username=bob`]: ["here-4"],
    [`gte_connected_at=${later}`]: [],
    [`lte_created_at=${later}`]: ["away-5", "here-4", "here-5"],
    "lte_created_at=0": [],
  };
  for (const [query, expected] of Object.entries(cases)) {
    const { status, body } = await api.get(`/clients?${query}&limit=10`);
    assert.deepEqual([status, body.meta?.count, ids(body)], [200, expected.length, expected], query);
  }
  const { body } = await api.get("/clients?like_clientid=-5&limit=1");
  assert.deepEqual([ids(body), body.meta], [["away-5"], { page: 1, limit: 1, count: 2, hasnext: true }]);
});

test("what is no page or no filter is 400", async (t) => {
  const { api } = await startClientBroker(t);
  const wrong = [
    "page=0",
    "page=x",
    "limit=0",
    "limit=1001",
    "page=99999999999999999999",
    "conn_state=gone",
    "proto_ver=6",
    "clean_start=2",
    "gte_created_at=yesterday",
    "fields=all",
  ];
  for (const query of wrong) {
    const { status, body } = await api.get(`/clients?${query}`);
    assert.deepEqual([status, body.code], [400, "BAD_REQUEST"], query);
  }
});

test("a kicked client is told, its will goes out, and its session is gone", async (t) => {
  const { api, connect, connectPersistent } = await startClientBroker(t);
  const watcher = await connect("watcher");
  await watcher.client.subscribeAsync(["will", "$SYS/brokers/+/clients/+/disconnected"]);
  const { client, closed } = await connectPersistent("c", {
    will: { topic: "will", payload: "gone", qos: 0, properties: { willDelayInterval: 1000 } },
  });
  const told = new Promise<IDisconnectPacket>((resolve) => client.once("disconnect", resolve));
  assert.deepEqual(await api.delete("/clients/c"), { status: 204, body: undefined });
  const { reasonCode, properties } = await within(told, { what: "DISCONNECT" });
  assert.deepEqual([reasonCode, properties?.reasonString], [0x98, "An administrator has ended the session."]);
  await within(closed, { what: "the end of the connection" });
  await watcher.received(2);
  assert.ok(watcher.payloads.includes("gone"), "the will");
  assert.equal(JSON.parse(watcher.payloads.find((payload) => payload !== "gone") ?? "").reason, "kicked");
  assert.equal((await api.get("/clients/c")).status, 404);
});

test("a client of MQTT 3.1.1 is kicked, and one that is away", async (t) => {
  const { api, connect, away } = await startClientBroker(t);
  const { closed } = await connect("old", { protocolVersion: 4, clean: false });
  await away("away");
  assert.equal((await api.delete("/clients/old")).status, 204);
  await within(closed, { what: "the end of the connection" });
  assert.equal((await api.delete("/clients/away")).status, 204);
  assert.deepEqual(ids((await api.get("/clients")).body), []);
  const again = await api.delete("/clients/away");
  assert.deepEqual([again.status, again.body.code], [404, "CLIENTID_NOT_FOUND"]);
});

test("many are kicked at once; who is not there is passed over", async (t) => {
  const { api, away, connect } = await startClientBroker(t);
  for (let number = 0; number < 25; number++) await away(`c${number}`);
  await connect("stays");
  const names = Array.from({ length: 25 }, (_, number) => `c${number}`);
  assert.equal((await api.post("/clients/kickout/bulk", ["nobody", ...names, "c1"])).status, 204);
  assert.deepEqual(ids((await api.get("/clients")).body), ["stays"]);
  for (const body of [{}, [1], ["stays", null], Array.from({ length: 1001 }, () => "stays"), "[", null]) {
    const { status, body: told } = await api.post("/clients/kickout/bulk", body);
    assert.deepEqual([status, told.code], [400, "BAD_REQUEST"], JSON.stringify(body)?.slice(0, 50));
  }
  assert.equal((await api.get("/clients/stays")).status, 200);
});

test("who may only read may not kick", async (t) => {
  const { ask, connect } = await startClientBroker(t);
  await connect("c");
  const credentials = "viewer:secret";
  assert.equal((await ask({ path: "/clients/c", credentials })).status, 200);
  assert.equal((await ask({ method: "DELETE", path: "/clients/c", credentials })).status, 403);
  assert.equal((await ask({ path: "/clients", credentials: "publisher:secret" })).status, 403);
  assert.equal((await ask({ path: "/clients", credentials: "" })).status, 401);
});
