// The node over HTTP: how it is, what is there now, and what it has counted.

import assert from "node:assert/strict";
import { test } from "node:test";
import { version } from "../../../src/mqtt/version.ts";
import { startClientBroker } from "../clients/client-broker.ts";

const NODE = "omp@127.0.0.1";

test("the node is shown with its clients and its machine", async (t) => {
  const { api, connect, away } = await startClientBroker(t);
  await connect("here");
  await away("away");
  const { status, body } = await api.get("/nodes");
  assert.equal(status, 200);
  const [{ uptime, memory_total, memory_used, load1, load5, load15, ...others }] = body;
  assert.deepEqual(others, {
    node: NODE,
    node_status: "running",
    role: "core",
    version: version(),
    connections: 2,
    live_connections: 1,
  });
  assert.ok(uptime > 0);
  for (const size of [memory_total, memory_used]) assert.match(size, /^\d+\.\d\d[MG]$/);
  for (const load of [load1, load5, load15]) assert.ok(load >= 0);
  assert.equal((await api.get(`/nodes/${NODE}`)).body.node, NODE);
  for (const path of ["", "/stats", "/metrics"]) {
    const missing = await api.get(`/nodes/other@127.0.0.1${path}`);
    assert.deepEqual([missing.status, missing.body.code], [404, "NOT_FOUND"]);
  }
});

test("stats and metrics have EMQX's names, for each node or in all", async (t) => {
  const { api, connect } = await startClientBroker(t);
  const { client } = await connect("c");
  await client.subscribeAsync("t/#");
  await client.publishAsync("t/a", "x", { qos: 1 });
  await api.post("/publish", { topic: "nobody", payload: "x" });
  const [stats] = (await api.get("/stats")).body;
  assert.deepEqual(
    [stats.node, stats["connections.count"], stats["subscriptions.count"], stats["subscriptions.max"]],
    [NODE, 1, 1, 1],
  );
  const all = (await api.get("/stats?aggregate=true")).body;
  assert.deepEqual([all.node, all["live_connections.count"]], [undefined, 1]);
  const [metrics] = (await api.get("/metrics?aggregate=false")).body;
  const { node, ...counted } = metrics;
  assert.deepEqual(
    [node, counted["messages.received"], counted["messages.publish"], counted["messages.dropped.no_subscribers"]],
    [NODE, 1, 2, 1],
  );
  assert.deepEqual(Object.keys((await api.get(`/nodes/${NODE}/metrics`)).body), Object.keys(counted));
  assert.equal((await api.get(`/nodes/${NODE}/stats`)).body["topics.count"], 1);
  assert.equal((await api.get("/stats?aggregate=perhaps")).body.code, "BAD_REQUEST");
});
