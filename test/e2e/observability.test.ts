// What `omp broker` tells of itself, as its users see it: $SYS topics with mosquitto_sub, metrics over HTTP.

import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { version } from "../../src/mqtt/version.ts";
import { findMosquitto } from "../support/mosquitto.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { runOmp, startBroker } from "../support/omp.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const mosquitto = await findMosquitto();
const skip = mosquitto.missing ?? false;

/** A metric without labels. */
async function metric(url: string | undefined, name: string): Promise<number> {
  const text = await (await fetch(String(url))).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
}

function dataDirectoryWith(t: TestContext, config: string): string {
  const dataDirectory = temporaryDirectory(t);
  writeFileSync(join(dataDirectory, "omp.hocon"), config);
  return dataDirectory;
}

describe("metrics", { concurrency: true }, () => {
  test("the greeting names the URL, which tells of broker and plugin", { skip }, async (t) => {
    const { address, metricsUrl } = await startBroker(t);
    assert.match(metricsUrl ?? "", /^http:\/\/127\.0\.0\.1:\d+\/api\/v5\/prometheus\/stats$/);
    for (const payload of ["one", "two"]) await mosquitto.publish(address, ["-q", "1", "-t", "t", "-m", payload]);
    const names = [
      "emqx_messages_qos1_received",
      "omp_plugin_stored_total",
      "emqx_client_connected",
      "emqx_sessions_count",
    ];
    const values = await Promise.all(names.map((name) => metric(metricsUrl, name)));
    assert.deepEqual(values, [2, 2, 2, 0]);
    const subscriber = mosquitto.subscribe(t, address, ["-q", "1", "-t", "t", "-i", "s"]);
    await subscriber.received(2);
    await waitFor(async () => (await metric(metricsUrl, "omp_plugin_acknowledged_total")) === 2, {
      what: "both acknowledged",
    });
    assert.equal(await metric(metricsUrl, "omp_plugin_replayed_total"), 2);
    assert.equal(await metric(metricsUrl, "emqx_live_connections_count"), 1);
  });

  test("0 switches it off; without a plugin there are no metrics of one", async (t) => {
    const dataDirectory = dataDirectoryWith(t, "dashboard.listeners.http.bind = 0\n");
    const off = await startBroker(t, { dataDirectory, withoutDashboard: true });
    assert.equal(off.metricsUrl, undefined);
    assert.equal((await off.stop()).code, 0);
    const alone = await startBroker(t, { args: ["--without-plugins"] });
    assert.ok(Number.isNaN(await metric(alone.metricsUrl, "omp_plugin_stored_total")));
    assert.equal(await metric(alone.metricsUrl, "emqx_sessions_count"), 0);
  });

  test("a port in use is one line and exit code 1", async (t) => {
    const server = createServer().listen(0, "127.0.0.1");
    t.after(() => server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const args = [
      "--data-dir",
      temporaryDirectory(t),
      "--port",
      "0",
      "--ws-port",
      "0",
      "--dashboard-port",
      String(port),
    ];
    const { code, stdout, stderr } = await runOmp(["broker", ...args]);
    assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
    assert.match(
      stderr,
      new RegExp(`^omp: cannot listen on 127\\.0\\.0\\.1:${port} for dashboard.*EADDRINUSE.*--dashboard-port$`, "m"),
    );
  });

  test("an address that others can reach is refused, whatever --host and --allow-anonymous say", async (t) => {
    const broker = await startBroker(t, { args: ["--host", "0.0.0.0", "--allow-anonymous"] });
    assert.match(broker.metricsUrl ?? "", /^http:\/\/127\.0\.0\.1:/);
  });
});

describe("$SYS", { skip, concurrency: true }, () => {
  test("mosquitto_sub gets the values at once and MQTT.js the events; the plugin stores none", async (t) => {
    const dataDirectory = dataDirectoryWith(t, 'sys_topics.sys_msg_interval = "100ms"\n');
    const { address, metricsUrl } = await startBroker(t, { dataDirectory });
    const watcher = await connectClient(t, address, { clientId: "watcher" });
    await watcher.client.subscribeAsync("$SYS/brokers/+/clients/+/+", { qos: 2 });
    const values = mosquitto.subscribe(t, address, [
      "-q",
      "1",
      "-i",
      "values",
      "-t",
      "$SYS/broker/version",
      "-t",
      "$SYS/broker/uptime",
    ]);
    const [first] = await values.received(2);
    assert.deepEqual(first, {
      topic: "$SYS/broker/version",
      qos: 0,
      retain: true,
      payload: `omp version ${version()}`,
    });
    const later = (await values.received(3, 5000)).at(-1);
    assert.deepEqual([later?.topic, later?.retain], ["$SYS/broker/uptime", false]);
    await values.stop();
    await watcher.received(2);
    const events = watcher.packets.map(({ topic, retain }) => [topic.split("/").slice(3).join("/"), retain]);
    assert.deepEqual(events, [
      ["clients/values/connected", false],
      ["clients/values/disconnected", false],
    ]);
    assert.equal(JSON.parse(watcher.payloads[1] ?? "").reason, "normal");
    assert.equal(await metric(metricsUrl, "omp_plugin_stored_total"), 0);
    assert.equal(await metric(metricsUrl, "emqx_retained_count"), 0);
  });
});
