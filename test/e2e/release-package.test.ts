// The release package in a running broker, as its users have it: built, allowed, uploaded, started, stopped and removed.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { PLUGIN_NAME } from "../../src/engine/release-info.ts";
import { version } from "../../src/mqtt/version.ts";
import { ROOT } from "../../tools/release/bundle.ts";
import { runChild } from "../support/child.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { type RunningBroker, runOmp, startBroker } from "../support/omp.ts";
import { lockDatabase } from "../support/sqlite-lock.ts";
import { inReverse, temporaryDirectory } from "../support/temporary-directory.ts";

const PLUGIN = `${PLUGIN_NAME}-${version()}`;
const FILE = `${PLUGIN}.tar.gz`;
const CREDENTIALS = `Basic ${Buffer.from("key:secret").toString("base64")}`;
/** A build takes seconds, more on a busy machine, in ms. */
const BUILD_TIMEOUT = 120_000;

describe("the release package", { concurrency: 2 }, () => {
  const scope = inReverse({ after });
  const output = temporaryDirectory(scope);
  const keys = join(output, "keys");
  before(async () => {
    const args = ["tools/release/release.ts", output];
    const { code, stderr } = await runChild(process.execPath, args, { cwd: ROOT, timeout: BUILD_TIMEOUT });
    assert.equal(code, 0, stderr);
    writeFileSync(keys, "key:secret\n");
  });

  const start = (t: TestContext, dataDirectory: string) =>
    startBroker(t, { dataDirectory, args: ["--without-plugins", "--api-keys", keys] });

  async function api(broker: RunningBroker, method: string, path: string, body?: FormData): Promise<Response> {
    const url = new URL(`/api/v5${path}`, broker.metricsUrl);
    return fetch(url, { method, headers: { authorization: CREDENTIALS }, ...(body && { body }) });
  }

  /** `data` of a list. */
  async function listed(broker: RunningBroker, path: string): Promise<Record<string, unknown>[]> {
    const answer = await api(broker, "GET", path);
    return ((await answer.json()) as { data: Record<string, unknown>[] }).data;
  }

  async function upload(broker: RunningBroker): Promise<Response> {
    const form = new FormData();
    form.set("plugin", new File([readFileSync(join(output, FILE))], FILE));
    return api(broker, "POST", "/plugins/install", form);
  }

  /** `omp plugins` on the broker's data directory, which is to end well; what it prints. */
  async function plugins(broker: RunningBroker, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runOmp(["plugins", ...args, "--data-dir", broker.dataDirectory]);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  async function publish(t: TestContext, broker: RunningBroker, payloads: readonly string[]): Promise<void> {
    const { client, end } = await connectClient(t, broker.address, { clientId: "publisher" });
    for (const payload of payloads) await client.publishAsync("t/2", payload, { qos: 1 });
    await end();
  }

  test("is allowed, uploaded and started; stores; outlives a killed broker; is stopped and removed", async (t) => {
    const dataDirectory = temporaryDirectory(t);
    const first = await start(t, dataDirectory);
    assert.match(first.child.stdout, /stores {2}nothing: started without plugins/);
    assert.equal((await upload(first)).status, 403);
    assert.equal(await plugins(first, "allow", PLUGIN), `${PLUGIN}: allowed for five minutes\n`);
    assert.equal((await upload(first)).status, 204);
    assert.equal(await plugins(first, "list"), `${PLUGIN}  stopped\n`);
    assert.equal((await api(first, "PUT", `/plugins/${PLUGIN}/start`)).status, 204);
    assert.equal(await plugins(first, "list"), `${PLUGIN}  running\n`);
    await publish(t, first, ["hello-from-offline1", "hello-from-offline2", "hello-from-offline3"]);
    assert.match(await (await fetch(first.metricsUrl ?? "")).text(), /^omp_plugin_stored_total 3$/m);
    const topics = await listed(first, "/offline_messages/topics");
    assert.deepEqual([topics[0]?.topic, topics[0]?.messages, topics.length], ["t/2", 3, 1]);
    const messages = await listed(first, "/offline_messages/messages");
    assert.equal(messages.length, 3);
    // Errors of the package are known by their codes: its classes are others than the broker's.
    const lock = lockDatabase(join(dataDirectory, "plugins", PLUGIN_NAME, "messages.db"));
    assert.equal((await api(first, "DELETE", `/offline_messages/messages/${messages[0]?.msgid}`)).status, 503);
    lock.close();
    await first.stop("SIGKILL");

    const second = await start(t, dataDirectory);
    assert.match(second.child.stdout, /stores {2}QoS 1 and 2 of #/);
    const one = await connectClient(t, second.address, { clientId: "first" });
    await one.client.subscribeAsync("t/2", { qos: 1 });
    await one.received(3);
    assert.deepEqual(one.payloads, ["hello-from-offline1", "hello-from-offline2", "hello-from-offline3"]);
    await one.end();
    const described = JSON.parse(await plugins(second, "describe", PLUGIN));
    assert.equal(described.rel_vsn, version());
    assert.equal(described.readme, readFileSync(join(ROOT, "src/plugin/README.md"), "utf8"));
    const { avsc, i18n } = (await (await api(second, "GET", `/plugins/${PLUGIN}/schema`)).json()) as {
      avsc: { name: string };
      i18n: Record<string, { zh: string }>;
    };
    assert.equal(avsc.name, "OfflineMessageConfig");
    assert.equal(i18n.$mysql_enable_label?.zh, "启用 MySQL");
    const running = await runOmp(["plugins", "uninstall", PLUGIN, "--data-dir", dataDirectory]);
    assert.deepEqual(running, { ...running, code: 1, stderr: `omp: ${PLUGIN} is running: stop it first.\n` });
    assert.equal(await plugins(second, "stop", PLUGIN), `${PLUGIN}: stopped\n`);
    assert.doesNotMatch(await (await fetch(second.metricsUrl ?? "")).text(), /^omp_plugin_/m);
    assert.equal(await plugins(second, "uninstall", PLUGIN), `${PLUGIN}: uninstalled\n`);
    assert.equal(await plugins(second, "list"), "no plugin is installed\n");
    assert.equal(await plugins(second, "install", join(output, FILE)), `${join(output, FILE)}: installed\n`);
    assert.equal((await second.stop()).code, 0);
    const away = await runOmp(["plugins", "list", "--data-dir", dataDirectory]);
    assert.equal(away.code, 1);
    assert.match(away.stderr, /^omp: no broker runs on \S+: start it, or name its data directory with --data-dir\n$/);
  });

  test("is stopped and started under load: what it had stored comes to clients that were connected all the while", async (t) => {
    const broker = await start(t, temporaryDirectory(t));
    await plugins(broker, "install", join(output, FILE));
    await plugins(broker, "start", PLUGIN);
    const { client } = await connectClient(t, broker.address, { clientId: "publisher" });
    const sent: Promise<unknown>[] = [];
    const acknowledged: string[] = [];
    let isOver = false;
    const load = (async () => {
      for (let at = 0; !isOver; at++) {
        const payload = String(at);
        sent.push(client.publishAsync("t/load", payload, { qos: 1 }).then(() => acknowledged.push(payload)));
        if (at % 50 === 49) await Promise.all(sent.splice(0));
      }
      await Promise.all(sent);
    })();
    while (acknowledged.length < 200) await new Promise((resolve) => setImmediate(resolve));
    const before = acknowledged.length;
    await plugins(broker, "stop", PLUGIN);
    isOver = true;
    await load;
    const subscriber = await connectClient(t, broker.address, { clientId: "subscriber" });
    await subscriber.client.subscribeAsync("t/#", { qos: 1 });
    await client.publishAsync("t/live", "live", { qos: 1 });
    await subscriber.received(1);
    assert.deepEqual(subscriber.payloads, ["live"], "nothing is replayed while it is stopped");
    await plugins(broker, "start", PLUGIN);
    await subscriber.received(1 + before, 20_000);
    const stored = subscriber.payloads.slice(1).map(Number);
    assert.deepEqual(
      stored.slice(0, before),
      Array.from({ length: before }, (_, at) => at),
    );
    await client.publishAsync("t/live", "last", { qos: 1 });
    await subscriber.received(subscriber.payloads.length);
  });

  test("wrong commands and files are one line each", async (t) => {
    const broker = await start(t, temporaryDirectory(t));
    const at = ["--data-dir", broker.dataDirectory];
    const cases: readonly (readonly [args: readonly string[], code: number, line: RegExp])[] = [
      [["jump"], 2, /unknown command jump \(omp plugins --help lists all\)/],
      [["start", ...at], 2, /omp plugins start needs NAME-VERSION/],
      [["start", "a", "b", ...at], 2, /unexpected argument b/],
      [["start", "nope-1.0", ...at], 1, /^omp: nope-1\.0 is not installed$/],
      [["start", "nope", ...at], 1, /"nope" is no plugin's name/],
      [["install", "/nowhere/a-1.tar.gz", ...at], 1, /cannot be read: no such file or directory/],
      [["install", keys, ...at], 1, /Bad plugin file name: keys/],
    ];
    for (const [args, code, line] of cases) {
      const result = await runOmp(["plugins", ...args]);
      assert.equal(result.code, code, result.stderr);
      assert.match(result.stderr.trimEnd(), line);
      assert.equal(result.stderr.trimEnd().split("\n").length, 1);
    }
    for (const args of [[], ["--help"], ["list", "--help"]]) {
      const { code, stdout } = await runOmp(["plugins", ...args]);
      assert.equal(code, 0);
      assert.match(stdout, /^omp plugins: /);
    }
  });

  test("wrong files of API keys end the start with their lines", async (t) => {
    const file = join(temporaryDirectory(t), "keys");
    writeFileSync(file, "key:secret\nbad\n");
    const dataDirectory = temporaryDirectory(t);
    const { code, stderr } = await runOmp(["broker", "--data-dir", dataDirectory, "--api-keys", file]);
    assert.equal(code, 2);
    assert.equal(stderr, `omp: ${file}:2: is not key:secret or key:secret:role\n`);
    const config = join(dataDirectory, "omp.hocon");
    writeFileSync(config, 'api_key.bootstrap_file = "nowhere"\n');
    const missing = await runOmp(["broker", "--data-dir", dataDirectory]);
    assert.match(missing.stderr, /^omp: \S+\/nowhere: cannot be read: no such file or directory\n$/);
  });
});
