// The listeners over HTTP: where clients connect to, with the ports that were bound.

import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { startClientBroker } from "../clients/client-broker.ts";

const websocket = { mqttPath: "/over/here", maxFrameSize: 4096, checkOriginEnable: true, checkOrigins: [] };

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));

test("the listeners are told with their ports, those of WebSocket with their path", async (t) => {
  const ws = { host: "127.0.0.1", port: 0, websocket };
  const { api, addresses } = await startClientBroker(t, { broker: { ws } });
  const { status, body } = await api.get("/listeners");
  assert.equal(status, 200);
  assert.ok((addresses.ws?.port ?? 0) > 0);
  assert.deepEqual(body, [
    { id: "tcp:default", type: "tcp", name: "default", bind: `127.0.0.1:${addresses.mqtt?.port}`, running: true },
    {
      id: "ws:default",
      type: "ws",
      name: "default",
      bind: `127.0.0.1:${addresses.ws?.port}`,
      running: true,
      websocket: { mqtt_path: "/over/here" },
    },
  ]);
});

test("an IPv6 address has brackets", { skip: hasIpv6 ? false : "this machine has no IPv6" }, async (t) => {
  const { api, addresses } = await startClientBroker(t, { broker: { host: "::1" } });
  assert.equal((await api.get("/listeners")).body[0].bind, `[::1]:${addresses.mqtt?.port}`);
});

test("there may be none", async (t) => {
  const { api } = await startClientBroker(t, { broker: { tcp: false } });
  assert.deepEqual((await api.get("/listeners")).body, []);
});
