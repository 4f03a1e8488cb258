// `npm pack`: a package that npx runs where there is nothing but Node, and that programs can import.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { list } from "tar";
import { version } from "../../src/mqtt/version.ts";
import { ROOT } from "../../tools/release/bundle.ts";
import { runChild, startChild } from "../support/child.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { npm, onlyNode } from "../support/npm.ts";
import { inReverse, temporaryDirectory } from "../support/temporary-directory.ts";

/** Packing compiles everything, and installing fetches packages: minutes on a busy machine, in ms. */
const TIMEOUT = 110_000;
const ARCHIVE = `mqtt-offline-messages-${version()}.tgz`;
const PORTS = ["--port", "0", "--ws-port", "0", "--dashboard-port", "0"];

const CONSUMER = `
import { Accounts, builtInPlugin, defaultManagementOptions, defaultOptions, EmbeddedBroker, version } from "mqtt-offline-messages";
import type { Hooks, Logger, Message, Store } from "mqtt-offline-messages";

const quiet = (_fields: Record<string, unknown>, _message: string): void => {};
const logger: Logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
const broker = new EmbeddedBroker({
  brokerOptions: { ...defaultOptions, port: 0 },
  management: {
    options: { ...defaultManagementOptions, http: { ...defaultManagementOptions.http, port: 0 } },
    accounts: new Accounts({ path: "accounts.json" }),
  },
  pluginFolder: "plugins",
  builtIn: builtInPlugin('sqlite { enable = true, topics = ["#"] }'),
  controlSocket: "control.sock",
  logger,
});
const { mqtt, http } = await broker.start();
const health: string | undefined = broker.plugins.running?.engine.storeHealth()?.status;
console.log(version(), mqtt !== undefined, http !== undefined, health);
await broker.stop();
export type Known = [Hooks, Message, Store];
`;

describe("the npm package", { timeout: 3 * TIMEOUT }, () => {
  const scope = inReverse({ after });
  const directory = temporaryDirectory(scope);
  const installed = join(directory, "installed");
  let env: NodeJS.ProcessEnv;

  before(
    async () => {
      env = await onlyNode(scope);
      await npm(["pack", "--pack-destination", directory], { cwd: ROOT, env: process.env, timeout: TIMEOUT });
      mkdirSync(installed);
      writeFileSync(join(installed, "package.json"), '{ "private": true, "type": "module" }\n');
      const options = ["--prefer-offline", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"];
      await npm(["install", ...options, join(directory, ARCHIVE)], { cwd: installed, env, timeout: TIMEOUT });
    },
    { timeout: 2 * TIMEOUT },
  );

  test("has JavaScript, declarations, what they read, and documents; no sources, tests or tools", async () => {
    const names: string[] = [];
    await list({ file: join(directory, ARCHIVE), onReadEntry: ({ path }) => names.push(path.replace("package/", "")) });
    const pages = names.filter((name) => name.startsWith("dist/dashboard/"));
    for (const name of ["index.html", "index.html.br", "icon.svg"]) assert.ok(pages.includes(`dist/dashboard/${name}`));
    const modules = names.filter((name) => /^dist\/.*\.js$/.test(name) && !pages.includes(name));
    assert.ok(modules.length > 200, `${modules.length} modules`);
    const declarations = names.filter((name) => /^dist\/.*\.d\.ts$/.test(name));
    assert.deepEqual(
      declarations.toSorted(),
      modules.map((name) => name.replace(/\.js$/, ".d.ts")).sort(),
      "each has its declarations",
    );
    const others = names.filter((name) => ![...modules, ...declarations, ...pages].includes(name));
    assert.deepEqual(others.filter((name) => !/^docs\/(?:decisions\/)?[\w-]+\.md$/.test(name)).sort(), [
      "CHANGELOG.md",
      "CONTRIBUTING.md",
      "LICENSE",
      "README.md",
      "dist/plugin/README.md",
      "dist/plugin/priv/config.hocon",
      "dist/plugin/priv/config_i18n.json",
      "dist/plugin/priv/config_schema.avsc",
      "package.json",
    ]);
    assert.ok(others.includes("docs/configuration.md"));
  });

  test("npx omp broker: what is published while a subscriber is away waits for it; SIGTERM ends it with code 0", async (t) => {
    const dataDirectory = join(directory, "data");
    const args = ["omp", "broker", "--data-dir", dataDirectory, ...PORTS];
    const child = startChild(t, "npx", args, { cwd: installed, env });
    const [, pid] = await child.output(/^omp \S+ runs as process (\d+);/m, TIMEOUT);
    const [, page = ""] = await child.output(/^ {2}http +(\S+)$/m, TIMEOUT);
    assert.match(await (await fetch(page)).text(), /<div id="app">/);
    const [, port] = await child.output(/mqtt:\/\/127\.0\.0\.1:(\d+)\n[\s\S]*^ {2}in .*messages\.db/m, TIMEOUT);
    t.after(() => {
      if (!child.over) process.kill(Number(pid), "SIGKILL");
    });
    const address = { host: "127.0.0.1", port: Number(port) };
    const session = { clientId: "away", clean: false, properties: { sessionExpiryInterval: 3600 } };
    const away = await connectClient(t, address, session);
    await away.client.subscribeAsync("t", { qos: 1 });
    await away.end();
    const publisher = await connectClient(t, address);
    await publisher.client.publishAsync("t", "while away", { qos: 1 });
    const back = await connectClient(t, address, session);
    await back.received(1);
    assert.deepEqual(back.payloads, ["while away"]);
    const late = await connectClient(t, address);
    await publisher.client.publishAsync("other", "stored", { qos: 2 });
    await late.client.subscribeAsync("#", { qos: 2 });
    await late.received(1);
    assert.deepEqual(late.payloads, ["stored"]);
    const plugins = await runChild("npx", ["omp", "plugins", "list", "--data-dir", dataDirectory], {
      cwd: installed,
      env,
    });
    assert.match(plugins.stdout, /^emqx_offline_message_plugin-\S+ {2}running\n$/, plugins.stderr);
    process.kill(Number(pid), "SIGTERM");
    const { code, stderr } = await child.ended;
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /warning/i);
  });

  test("npx runs the package itself, without an installation", async () => {
    const args = ["--yes", "--prefer-offline", "--package", join(directory, ARCHIVE), "omp", "--version"];
    const options = { cwd: temporaryDirectory(scope), env, timeout: TIMEOUT };
    const { code, stdout, stderr } = await runChild("npx", args, options);
    assert.equal(code, 0, stderr);
    assert.equal(stdout, `omp ${version()}\n`);
  });

  test("programs import it, and its declarations are right", async () => {
    writeFileSync(join(installed, "consumer.ts"), CONSUMER);
    const types = ["--strict", "--types", "node", "--typeRoots", join(ROOT, "node_modules/@types")];
    const modules = ["--noEmit", "--module", "nodenext", "--target", "es2024", "--lib", "es2024"];
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    const checked = await runChild(process.execPath, [tsc, ...types, ...modules, "consumer.ts"], {
      cwd: installed,
      env,
      timeout: TIMEOUT,
    });
    assert.equal(checked.code, 0, checked.stdout);
    const { stdout, stderr } = await runChild(process.execPath, ["consumer.ts"], { cwd: installed, env });
    assert.equal(stdout, `${version()} true true ok\n`, stderr);
  });
});
