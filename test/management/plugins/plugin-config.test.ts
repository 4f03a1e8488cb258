// The plugin's configuration over HTTP: shown without secrets, checked whole, applied live, and kept.

import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { builtInPlugin } from "../../../src/cli/built-in-plugin.ts";
import { readConfigFile } from "../../../src/cli/config-file.ts";
import { MAX_CONFIG_BYTES, parseHocon } from "../../../src/hocon/parse.ts";
import { connectClient } from "../../support/mqtt-client.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { type Answer, type PluginBroker, type PluginBrokerOptions, startPluginBroker } from "./plugin-broker.ts";

type Section = Record<string, unknown>;
type Config = Record<string, Section>;

const SHIPPED = `
sqlite { enable = true, topics = ["#"] }
mysql { password = "do-not-tell", ssl { enable = false } }
store_timeout = 2000
`;

interface Started extends PluginBroker {
  readonly name: string;
  readonly file: string;
  config(): Promise<Config>;
  /** Changes what `change` does to the configuration as it is shown. */
  put(change: (config: Config) => void): Promise<Answer>;
}

async function start(t: TestContext, options: PluginBrokerOptions = {}): Promise<Started> {
  const builtIn = builtInPlugin(SHIPPED);
  const name = `${builtIn.info.name}-${builtIn.info.rel_vsn}`;
  const broker = await startPluginBroker(t, { builtIn, ...options });
  const path = `/plugins/${name}/config`;
  const config = async () => (await broker.ask({ path })).body as Config;
  const put: Started["put"] = async (change) => {
    const changed = await config();
    change(changed);
    return broker.ask({
      method: "PUT",
      path,
      headers: { "content-type": "application/json" },
      body: JSON.stringify(changed),
    });
  };
  return { ...broker, name, config, put, file: join(broker.folder, builtIn.info.name, "config.hocon") };
}

const saved = (file: string) => parseHocon(readFileSync(file, "utf8")).value as Config;

function refusal(answer: Answer): string {
  const { code, message } = answer.body as { code: string; message: string };
  assert.deepEqual([answer.status, code], [400, "BAD_CONFIG"], message);
  return message;
}

test("it is shown with every key and without secrets, downloaded, and a mask that comes back means unchanged", async (t) => {
  const broker = await start(t);
  const shown = await broker.config();
  assert.equal(shown.mysql?.password, "******");
  assert.equal(shown.redis?.password, "", "none is set");
  assert.equal(shown.redis?.message_ttl, 7200);
  const download = await broker.ask({ path: `/plugins/${broker.name}/config/download` });
  assert.deepEqual(download.body, shown);
  assert.equal(download.headers["content-disposition"], `attachment; filename="${broker.name}.json"`);

  assert.equal(
    (await broker.put((config) => Object.assign(config.mysql as Section, { database: "other" }))).status,
    204,
  );
  assert.equal(saved(broker.file).mysql?.password, "do-not-tell");
  assert.equal(saved(broker.file).mysql?.database, "other");
  assert.equal(statSync(broker.file).mode & 0o777, 0o600);
  await broker.put((config) => Object.assign(config.mysql as Section, { password: "new-secret" }));
  assert.equal(saved(broker.file).mysql?.password, "new-secret");
  const message = refusal(
    await broker.put((config) => {
      Object.assign(config.mysql as Section, { password: ["hidden-secret"], enable: true });
    }),
  );
  assert.match(message, /mysql\.password must be text/);
  const log = JSON.stringify(broker.log.map((entry) => ({ ...entry, fields: String(entry.fields.err ?? "") })));
  assert.doesNotMatch(message + log + JSON.stringify(await broker.config()), /do-not-tell|new-secret|hidden-secret/);
});

test("everything that is wrong is named at once, and nothing is changed", async (t) => {
  const broker = await start(t);
  const before = readFileSync(broker.file, "utf8");
  const both = refusal(
    await broker.put((config) => {
      Object.assign(config.mysql as Section, { enable: true, pool_size: "eight", nonsense: 1 });
      Object.assign(config.sqlite as Section, { topics: ["a/#/b"] });
      delete config.redis;
    }),
  );
  for (const key of [
    "mysql.pool_size",
    "mysql.nonsense",
    "sqlite.topics",
    "sqlite.enable: mysql is enabled too",
    "redis is missing",
  ]) {
    assert.ok(both.includes(key), `${key} in ${both}`);
  }
  const sql = refusal(
    await broker.put((config) => {
      Object.assign(config.sqlite as Section, { enable: false });
      Object.assign(config.mysql as Section, { enable: true, delete_message_sql: "delete from t" });
      Object.assign(config.mysql?.ssl as Section, { enable: true, cacertfile: "/nowhere/ca.pem" });
    }),
  );
  assert.match(sql, /mysql\.ssl\.cacertfile: \/nowhere\/ca\.pem: cannot be read: there is no such file/);
  assert.match(sql, /mysql\.delete_message_sql lacks \$\{id\}/);
  for (const body of ["[]", "7", "null", '"text"']) {
    const headers = { "content-type": "application/json" };
    refusal(await broker.ask({ method: "PUT", path: `/plugins/${broker.name}/config`, headers, body }));
  }
  assert.equal(readFileSync(broker.file, "utf8"), before);
});

async function uploadTo(broker: Started, content: string, field = "config"): Promise<Answer> {
  const form = new FormData();
  form.set(field, new File([content], "config.json"));
  const encoded = new Response(form);
  return broker.ask({
    method: "POST",
    path: `/plugins/${broker.name}/config/upload`,
    headers: { "content-type": encoded.headers.get("content-type") ?? "" },
    body: new Uint8Array(await encoded.arrayBuffer()),
  });
}

test("none is written that would be too large for the broker's next start", async (t) => {
  const broker = await start(t);
  const config = await broker.config();
  const uploadWith = (password: string) =>
    uploadTo(broker, JSON.stringify({ ...config, mysql: { ...config.mysql, password } }));
  assert.equal((await uploadWith("")).status, 204);
  const room = MAX_CONFIG_BYTES - statSync(broker.file).size;
  assert.equal((await uploadWith("x".repeat(room))).status, 204);
  assert.equal(readConfigFile(broker.file).text.length, MAX_CONFIG_BYTES);
  const before = readFileSync(broker.file, "utf8");
  assert.match(refusal(await uploadWith("y".repeat(room + 1))), /more than 1048576 bytes: .*Nothing was changed\.$/);
  assert.equal(readFileSync(broker.file, "utf8"), before);
});

test("it is uploaded as a file", async (t) => {
  const broker = await start(t);
  const upload = (content: string, field?: string) => uploadTo(broker, content, field);
  const config = await broker.config();
  assert.equal((await upload(JSON.stringify({ ...config, store_timeout: 1234 }))).status, 204);
  assert.equal(saved(broker.file).store_timeout as unknown, 1234);
  assert.match(refusal(await upload("{")), /no JSON/);
  const wrong = await upload("{}", "plugin");
  assert.deepEqual([wrong.status, (wrong.body as { code: string }).code], [400, "BAD_FORM_DATA"]);
});

test("a database that cannot be used is told, and everything stays as it was", async (t) => {
  const broker = await start(t);
  const before = readFileSync(broker.file, "utf8");
  const message = refusal(
    await broker.put((config) => {
      Object.assign(config.sqlite as Section, { enable: false });
      Object.assign(config.redis as Section, { enable: true, servers: "127.0.0.1:1", topics: ["#"] });
    }),
  );
  assert.match(message, /Redis at 127\.0\.0\.1:1 cannot be reached .*Nothing was changed\./);
  assert.equal(readFileSync(broker.file, "utf8"), before);
  const { client } = await connectClient(t, broker.address, { clientId: "p" });
  await client.publishAsync("t", "stored", { qos: 1 });
  assert.equal(broker.embedded.plugins.running?.engine.metrics?.counters.stored, 1);
});

test("under load it is applied live: what is acknowledged is in the store of before or in the next one", async (t) => {
  const broker = await start(t);
  const { client } = await connectClient(t, broker.address, { clientId: "publisher" });
  let isOver = false;
  let sent = 0;
  const load = (async () => {
    while (!isOver) {
      await Promise.all(Array.from({ length: 20 }, () => client.publishAsync("t/x", String(sent++), { qos: 1 })));
    }
  })();
  const paths = ["second.db", "third.db", "second.db"];
  for (const path of paths) {
    assert.equal((await broker.put((config) => Object.assign(config.sqlite as Section, { path }))).status, 204);
  }
  isOver = true;
  await load;
  const folder = join(broker.folder, "emqx_offline_message_plugin");
  const received: number[] = [];
  for (const path of ["", "third.db", "second.db"]) {
    assert.equal((await broker.put((config) => Object.assign(config.sqlite as Section, { path }))).status, 204);
    assert.ok(existsSync(join(folder, path || "messages.db")));
    const subscriber = await connectClient(t, broker.address, { clientId: `subscriber of ${path}` });
    await subscriber.client.subscribeAsync("t/#", { qos: 1 });
    // It is stored last, and so it comes last.
    await client.publishAsync("t/end", "end", { qos: 1 });
    while (!subscriber.payloads.includes("end")) await new Promise((resolve) => setImmediate(resolve));
    received.push(...subscriber.payloads.filter((payload) => payload !== "end").map(Number));
    await subscriber.end();
  }
  assert.deepEqual(
    received.sort((a, b) => a - b),
    Array.from({ length: sent }, (_, at) => at),
  );
});

test("with enable alone hooks come and go, and what is set is there with the next broker", async (t) => {
  const folder = join(temporaryDirectory(t), "plugins");
  const broker = await start(t, { folder });
  const subscriber = await connectClient(t, broker.address, { clientId: "s" });
  const { client } = await connectClient(t, broker.address, { clientId: "p" });
  await client.publishAsync("t", "1", { qos: 1 });
  const enable = (enabled: boolean) =>
    broker.put((config) => Object.assign(config.sqlite as Section, { enable: enabled }));
  assert.equal((await enable(false)).status, 204);
  assert.equal(broker.embedded.plugins.running?.engine.hooks, undefined);
  await subscriber.client.subscribeAsync("t", { qos: 1 });
  await client.publishAsync("t", "not stored", { qos: 1 });
  await subscriber.received(1);
  assert.equal((await enable(true)).status, 204);
  await subscriber.received(2);
  assert.deepEqual(subscriber.payloads, ["not stored", "1"]);
  await broker.put((config) => Object.assign(config.sqlite as Section, { topics: ["only/this"] }));
  await broker.stop();
  const next = await start(t, { folder });
  assert.deepEqual((await next.config()).sqlite?.topics, ["only/this"]);
});

test("one that is stopped is configured too, and a file that is wrong is told and can be replaced", async (t) => {
  const broker = await start(t);
  const whole = await broker.config();
  await broker.ask({ method: "PUT", path: `/plugins/${broker.name}/stop` });
  writeFileSync(broker.file, "nonsense = 1\n");
  refusal(await broker.ask({ path: `/plugins/${broker.name}/config` }));
  refusal(await broker.ask({ method: "PUT", path: `/plugins/${broker.name}/start` }));
  const put = await broker.ask({
    method: "PUT",
    path: `/plugins/${broker.name}/config`,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...whole, store_timeout: 3000 }),
  });
  assert.equal(put.status, 204);
  assert.equal((await broker.config()).store_timeout as unknown, 3000);
  assert.equal((await broker.ask({ method: "PUT", path: `/plugins/${broker.name}/start` })).status, 204);
});
