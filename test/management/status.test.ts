// GET /status tells a load balancer whether the node can do its work.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { builtInPlugin } from "../../src/cli/built-in-plugin.ts";
import { version } from "../../src/mqtt/version.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startPluginBroker } from "./plugins/plugin-broker.ts";

const NAME = `emqx_offline_message_plugin-${version()}`;

async function status(url: string): Promise<{ status: number; text: string }> {
  const response = await fetch(url);
  return { status: response.status, text: await response.text() };
}

test("it needs no key, and is 200 while all works, with and without plugins", async (t) => {
  const alone = await startPluginBroker(t);
  assert.deepEqual(await status(`${alone.url}/status`), {
    status: 200,
    text: "Node omp@127.0.0.1 is started\nomp is running\n",
  });
  const broker = await startPluginBroker(t, { builtIn: builtInPlugin('sqlite { enable = true, topics = ["#"] }') });
  const { status: code, text } = await status(`${broker.url}/api/v5/status`);
  assert.equal(code, 200);
  assert.equal(text, `Node omp@127.0.0.1 is started\nomp is running\n${NAME} is running\n`);
  const json = await status(`${broker.url}/status?format=json`);
  assert.deepEqual(JSON.parse(json.text), {
    node_name: "omp@127.0.0.1",
    rel_vsn: version(),
    broker_status: "started",
    app_status: "running",
    plugins: [{ name: NAME, status: "running", health_status: { status: "ok", message: "" } }],
  });
  await broker.ask({ method: "PUT", path: `/plugins/${NAME}/stop` });
  assert.deepEqual((await status(`${broker.url}/status`)).status, 200, "stopped on purpose");
});

test("it is 503 with the cause while the store does not work, or the plugin could not be started", async (t) => {
  const away = builtInPlugin('redis { enable = true, servers = "127.0.0.1:1", topics = ["#"] }\nstore_timeout = 300');
  const broker = await startPluginBroker(t, { builtIn: away });
  const { status: code, text } = await status(`${broker.url}/status`);
  assert.equal(code, 503);
  assert.match(text, new RegExp(`^${NAME} is running: Redis at 127\\.0\\.0\\.1:1 cannot be reached`, "m"));
  const folder = join(temporaryDirectory(t), "plugins");
  const wrong = await startPluginBroker(t, { folder, builtIn: builtInPlugin("nonsense = 1") });
  const answer = await status(`${wrong.url}/status`);
  assert.equal(answer.status, 503);
  assert.match(answer.text, /is stopped: \S+config\.hocon: nonsense is no known key/);
  rmSync(folder, { recursive: true });
});
