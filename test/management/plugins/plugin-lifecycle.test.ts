// Plugins are allowed, installed, started, stopped, moved and removed over HTTP, and all that outlives the broker.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { writePackage } from "../../../src/management/plugins/installed-package.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { type PluginBroker, type PluginBrokerOptions, startPluginBroker } from "./plugin-broker.ts";
import { MAIN, NAME, packageOf, releaseJson, SAMPLE_ENGINE, sampleFiles } from "./sample-package.ts";

const ARCHIVE = packageOf(sampleFiles());
const FILE = `${NAME}.tar.gz`;

/** A package of another name, with this engine. */
function otherPackage(name: string, engine = SAMPLE_ENGINE): Buffer {
  const files = Object.entries(sampleFiles()).map(([path, content]) => [path.replaceAll(NAME, name), content]);
  const [plugin = "", version = ""] = name.split("-");
  return packageOf({
    ...Object.fromEntries(files),
    [`${name}/release.json`]: releaseJson({ name: plugin, rel_vsn: version, rel_apps: [name] }),
    [`${name}/${name}/engine.mjs`]: engine,
  });
}

/** With the sample installed. */
async function withSample(t: TestContext, options: PluginBrokerOptions = {}): Promise<PluginBroker> {
  const broker = await startPluginBroker(t, options);
  assert.equal((await broker.install(FILE, ARCHIVE, { isLocal: true })).status, 204);
  return broker;
}

const act = (broker: PluginBroker, action: string, name = NAME) =>
  broker.ask({ method: "PUT", path: `/plugins/${name}/${action}` });
const allow = (broker: PluginBroker, action = "allow", name = NAME) =>
  broker.ask({ method: "POST", path: `/plugins/${name}/${action}`, isLocal: true });

/** What `GET /plugins` says, as `name: status`. */
async function statuses(broker: PluginBroker): Promise<string[]> {
  const { body } = await broker.ask({ path: "/plugins" });
  const plugins = body as { name: string; rel_vsn: string; running_status: { status: string }[] }[];
  return plugins.map(({ name, rel_vsn, running_status: [running] }) => `${name}-${rel_vsn}: ${running?.status}`);
}

/** Asserts status and code, and gives the message. */
function refused(answer: { status: number; body: unknown }, status: number, code: string): string {
  const { message, ...rest } = answer.body as { code: string; message: string };
  assert.deepEqual({ status: answer.status, ...rest }, { status, code }, message);
  return message;
}

test("from allowing to removing", async (t) => {
  const broker = await startPluginBroker(t);
  assert.deepEqual(await statuses(broker), []);
  assert.match(
    refused(await broker.install(FILE, ARCHIVE), 403, "FORBIDDEN"),
    /`omp plugins allow sample_plugin-1\.0\.0`/,
  );
  await allow(broker);
  await allow(broker, "disallow");
  refused(await broker.install(FILE, ARCHIVE), 403, "FORBIDDEN");
  assert.equal((await allow(broker)).status, 204);
  assert.equal((await broker.install(FILE, ARCHIVE)).status, 204);
  refused(await broker.install(FILE, ARCHIVE), 400, "ALREADY_INSTALLED");
  assert.deepEqual(await statuses(broker), [`${NAME}: stopped`]);

  assert.equal((await act(broker, "start")).status, 204);
  assert.equal((await act(broker, "start")).status, 204, "once more");
  assert.deepEqual(await statuses(broker), [`${NAME}: running`]);
  const { body } = await broker.ask({ path: `/plugins/${NAME}` });
  const { readme, md5sum, health_status } = body as Record<string, unknown>;
  assert.equal(readme, "A sample.\n");
  assert.match(String(md5sum), /^[0-9a-f]{32}$/);
  assert.deepEqual(health_status, { status: "ok", message: "" });
  const schema = (await broker.ask({ path: `/plugins/${NAME}/schema` })).body;
  assert.deepEqual(schema, { avsc: { type: "record", name: "Sample", fields: [] }, i18n: null });
  assert.equal(readFileSync(join(broker.folder, "sample_plugin/config.hocon"), "utf8"), "size = 1\n");

  assert.match(
    refused(await broker.ask({ method: "DELETE", path: `/plugins/${NAME}` }), 400, "PARAM_ERROR"),
    /stop it first/,
  );
  assert.equal((await act(broker, "stop")).status, 204);
  assert.equal((await act(broker, "stop")).status, 204, "once more");
  assert.equal((await broker.ask({ method: "DELETE", path: `/plugins/${NAME}` })).status, 204);
  assert.deepEqual(await statuses(broker), []);
  assert.deepEqual(readdirSync(broker.folder).sort(), ["plugins.json", "sample_plugin"], "the configuration stays");
  refused(await broker.install(FILE, ARCHIVE), 403, "FORBIDDEN");
  assert.deepEqual(
    broker.log.map(({ message }) => message).filter((message) => /sample|plugin was/.test(message)),
    [
      ...["a plugin was installed", "the sample starts", "a plugin was started"],
      ...["the sample stops", "a plugin was stopped", "a plugin was uninstalled"],
    ],
  );
});

test("what is not installed is not found, whatever is asked of it", async (t) => {
  const broker = await startPluginBroker(t);
  for (const [method, path, body] of [
    ["GET", ""],
    ["GET", "/schema"],
    ["PUT", "/start"],
    ["PUT", "/stop"],
    ["DELETE", ""],
    ["POST", "/move", '{"position":"front"}'],
  ] as const) {
    const content = body === undefined ? {} : { headers: { "content-type": "application/json" }, body };
    const answer = await broker.ask({ method, path: `/plugins/nope-1.0${path}`, ...content });
    assert.match(refused(answer, 404, "NOT_FOUND"), /nope-1\.0/, `${method} ${path}`);
  }
});

test("names that are none, actions and positions that are none, and methods that a path has not", async (t) => {
  const broker = await withSample(t);
  for (const name of ["..%2f..%2fetc", "nodash", "-1.0", "1a-1.0", "a-..", "a%00-1", `a-${"1".repeat(300)}`]) {
    refused(await broker.ask({ path: `/plugins/${name}` }), 400, "BAD_REQUEST");
    refused(await act(broker, "start", name), 400, "BAD_REQUEST");
  }
  refused(await act(broker, "jump"), 400, "BAD_REQUEST");
  for (const position of ["sideways", "before:", "after:nope-1.0", `before:${NAME}`, 7, null]) {
    const answer = await broker.ask({
      method: "POST",
      path: `/plugins/${NAME}/move`,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ position }),
    });
    refused(answer, 400, "BAD_POSITION");
  }
  const answer = await broker.ask({ method: "PATCH", path: `/plugins/${NAME}` });
  refused(answer, 405, "METHOD_NOT_ALLOWED");
  assert.equal(answer.headers.allow, "GET, HEAD, DELETE");
  refused(await broker.ask({ path: "/nothing" }), 404, "NOT_FOUND");
  // Allowing is for the broker's owner.
  refused(await broker.ask({ method: "POST", path: `/plugins/${NAME}/allow` }), 405, "METHOD_NOT_ALLOWED");
});

test("what is started, stopped and moved stays so with the next broker", async (t) => {
  const folder = join(temporaryDirectory(t), "plugins");
  const first = await withSample(t, { folder });
  for (const name of ["b-1.0", "c-2.0"]) {
    assert.equal((await first.install(`${name}.tar.gz`, otherPackage(name), { isLocal: true })).status, 204);
  }
  await act(first, "start");
  const move = (broker: PluginBroker, name: string, position: string) =>
    broker.ask({
      method: "POST",
      path: `/plugins/${name}/move`,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ position }),
    });
  assert.equal((await move(first, "c-2.0", "front")).status, 204);
  assert.equal((await move(first, "b-1.0", `before:${NAME}`)).status, 204);
  const order = ["c-2.0: stopped", "b-1.0: stopped", `${NAME}: running`];
  assert.deepEqual(await statuses(first), order);
  await first.stop();
  const second = await startPluginBroker(t, { folder });
  assert.deepEqual(await statuses(second), order);
  await move(second, "c-2.0", "rear");
  await move(second, "b-1.0", `after:${NAME}`);
  await act(second, "stop");
  await act(second, "start", "b-1.0");
  await second.stop();
  const third = await startPluginBroker(t, { folder });
  assert.deepEqual(await statuses(third), [`${NAME}: stopped`, "b-1.0: running", "c-2.0: stopped"]);
});

test("one plugin runs at a time", async (t) => {
  const broker = await withSample(t);
  await broker.install("b-1.0.tar.gz", otherPackage("b-1.0"), { isLocal: true });
  await act(broker, "start");
  assert.match(
    refused(await act(broker, "start", "b-1.0"), 400, "PARAM_ERROR"),
    /sample_plugin-1\.0\.0 runs.*stop it first/,
  );
  assert.deepEqual(await statuses(broker), [`${NAME}: running`, "b-1.0: stopped"]);
});

test("one that cannot be started says why, and a broker that finds such a one runs all the same", async (t) => {
  const folder = join(temporaryDirectory(t), "plugins");
  const broker = await withSample(t, { folder });
  const engines: Readonly<Record<string, readonly [engine: string, status: number, code: string, message: RegExp]>> = {
    "throws-1.0": ['throw new Error("no luck");', 500, "INTERNAL_ERROR", /throws-1\.0 cannot be loaded: no luck/],
    "old-1.0": [
      SAMPLE_ENGINE.replace("contract = 3", "contract = 0"),
      400,
      "BAD_PLUGIN_INFO",
      /another release .*contract 0/,
    ],
    "empty-1.0": ["", 400, "BAD_PLUGIN_INFO", /another release/],
  };
  for (const [name, [engine, status, code, message]] of Object.entries(engines)) {
    assert.equal((await broker.install(`${name}.tar.gz`, otherPackage(name, engine), { isLocal: true })).status, 204);
    assert.match(refused(await act(broker, "start", name), status, code), message);
  }
  const config = join(folder, "sample_plugin/config.hocon");
  mkdirSync(join(folder, "sample_plugin"));
  writeFileSync(config, "wrong = 1\n");
  assert.match(refused(await act(broker, "start"), 400, "BAD_CONFIG"), /config\.hocon: wrong is no known key/);
  writeFileSync(config, "wrong = {\n");
  assert.match(refused(await act(broker, "start"), 400, "BAD_CONFIG"), /config\.hocon: /);
  assert.ok((await statuses(broker)).every((status) => status.endsWith("stopped")));
  writeFileSync(config, "size = 2\n");
  assert.equal((await act(broker, "start")).status, 204);
  await broker.stop();

  writeFileSync(config, "wrong = 1\n");
  const next = await startPluginBroker(t, { folder });
  assert.ok(next.log.some(({ level, message }) => level === "error" && message === "a plugin could not be started"));
  const { body } = await next.ask({ path: `/plugins/${NAME}` });
  const { running_status, health_status } = body as Record<string, unknown>;
  const health = { status: "error", message: `${config}: wrong is no known key` };
  assert.deepEqual(health_status, health);
  assert.deepEqual(running_status, [{ node: "omp@127.0.0.1", status: "stopped", health_status: health }]);
});

test("a package that is wrong changes nothing on the disk", async (t) => {
  const broker = await startPluginBroker(t);
  mkdirSync(broker.folder);
  await allow(broker);
  const link = { path: `${NAME}/link`, type: "SymbolicLink", linkpath: "/etc/passwd" } as const;
  for (const archive of [
    packageOf(sampleFiles(), [{ path: `${NAME}/../../evil` }]),
    packageOf(sampleFiles(), [link]),
    ARCHIVE.subarray(0, 100),
    Buffer.from("no package"),
  ]) {
    refused(await broker.install(FILE, archive), 400, "BAD_PLUGIN_INFO");
    assert.deepEqual(readdirSync(broker.folder), []);
  }
  refused(await broker.install("sample_plugin.tar.gz", ARCHIVE), 400, "BAD_PLUGIN_INFO");
  refused(await broker.install(`${NAME}.zip`, ARCHIVE), 400, "BAD_PLUGIN_INFO");
  refused(await broker.install("../../evil-1.0.tar.gz", ARCHIVE), 403, "FORBIDDEN");
  assert.match(
    refused(await broker.install(FILE, Buffer.alloc(32 * 1024 * 1024 + 1)), 400, "BAD_PLUGIN_INFO"),
    /more than 33554432 bytes/,
  );
  refused(await broker.install(FILE, ARCHIVE, { field: "file" }), 400, "BAD_FORM_DATA");
  assert.deepEqual(readdirSync(broker.folder), []);
  assert.equal((await broker.install(FILE, ARCHIVE)).status, 204, "the permission is not used up");
});

test("a package that is there and that nobody has started does not run, whatever a kill or somebody has left", async (t) => {
  const folder = join(temporaryDirectory(t), "plugins");
  const broker = await withSample(t, { folder });
  await act(broker, "start");
  await broker.stop();
  const states = join(folder, "plugins.json");
  for (const content of [
    "",
    "null",
    "[]",
    '{"states":null}',
    '{"states":[null]}',
    '{"states":[{"name_vsn":1}]}',
    "\0",
  ]) {
    writeFileSync(states, content);
    writeFileSync(`${states}.123.tmp`, "{");
    const next = await startPluginBroker(t, { folder });
    assert.deepEqual(await statuses(next), [`${NAME}: stopped`], content);
    assert.equal(next.log.filter(({ level }) => level === "warn").length, 1);
    assert.equal(existsSync(`${states}.123.tmp`), false);
    await next.stop();
  }
  rmSync(states);
  const last = await startPluginBroker(t, { folder });
  assert.deepEqual(await statuses(last), [`${NAME}: stopped`]);
  // Its directory was taken away, or has become something else.
  rmSync(join(folder, NAME), { recursive: true });
  assert.equal((await last.ask({ method: "DELETE", path: `/plugins/${NAME}` })).status, 204);
  mkdirSync(join(folder, NAME, "stray"), { recursive: true });
  assert.equal((await last.install(FILE, ARCHIVE, { isLocal: true })).status, 204);
  assert.equal(existsSync(join(folder, NAME, "stray")), false);
  rmSync(join(folder, NAME, ".md5sum"));
  mkdirSync(join(folder, NAME, ".md5sum"));
  await last.stop();
  const damaged = await startPluginBroker(t, { folder });
  assert.deepEqual(await statuses(damaged), []);
  assert.ok(damaged.log.some(({ message }) => /sample_plugin-1\.0\.0 is passed over: EISDIR/.test(message)));
});

test("a start or an install whose note the disk does not take changes nothing", async (t) => {
  const broker = await withSample(t);
  const states = join(broker.folder, "plugins.json");
  rmSync(states);
  mkdirSync(states);
  refused(await act(broker, "start"), 500, "INTERNAL_ERROR");
  assert.deepEqual(await statuses(broker), [`${NAME}: stopped`]);
  refused(await broker.install("b-1.0.tar.gz", otherPackage("b-1.0"), { isLocal: true }), 500, "INTERNAL_ERROR");
  assert.deepEqual(await statuses(broker), [`${NAME}: stopped`]);
  assert.equal(existsSync(join(broker.folder, "b-1.0")), false);
});

test("a module that fails is told of with its cause, and a few uploads at a time are read", async (t) => {
  const broker = await startPluginBroker(t);
  const failing = {
    "a-1.0": SAMPLE_ENGINE.replace(
      "start: async () =>",
      'start: async () => { throw new Error("no luck"); },\n  other: () =>',
    ),
    "b-1.0": SAMPLE_ENGINE.replace(
      "export const checkConfig = async (config) =>",
      "export const checkConfig = async (config) => { throw null; };\nconst other = (config) =>",
    ),
  };
  const causes = [/a-1\.0 cannot be started: no luck/, /b-1\.0 cannot be started: null/];
  for (const [at, [name, engine]] of Object.entries(failing).entries()) {
    assert.equal((await broker.install(`${name}.tar.gz`, otherPackage(name, engine), { isLocal: true })).status, 204);
    assert.match(refused(await act(broker, "start", name), 500, "INTERNAL_ERROR"), causes[at] as RegExp);
  }
  const lacking = otherPackage("c-1.0", "export const contract = 3;");
  await broker.install("c-1.0.tar.gz", lacking, { isLocal: true });
  assert.match(refused(await act(broker, "start", "c-1.0"), 400, "BAD_PLUGIN_INFO"), /has no checkConfig/);
  const many = await Promise.all(
    Array.from({ length: 12 }, () => broker.install(FILE, Buffer.alloc(1024 * 1024), { isLocal: true })),
  );
  const counts = Object.groupBy(many, ({ status }) => String(status));
  assert.deepEqual(Object.keys(counts).sort(), ["400", "503"]);
});

test("an install that the disk does not take leaves nothing behind, and what a kill has left is removed", async (t) => {
  const folder = join(temporaryDirectory(t), "plugins");
  for (const name of [`.unfinished-${NAME}`, "not a package", "half-1.0"])
    mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, `.unfinished-${NAME}`, "file"), "x");
  writeFileSync(join(folder, "plugins.json"), "{");
  const broker = await startPluginBroker(t, { folder });
  const warnings = broker.log.filter(({ level }) => level === "warn").map(({ message }) => message);
  assert.equal(warnings.length, 2, warnings.join("\n"));
  assert.match(warnings[0] ?? "", /plugins\.json cannot be read/);
  assert.match(warnings[1] ?? "", /half-1\.0 is passed over: its release\.json is missing/);
  const others = ["half-1.0", "not a package", "plugins.json"];
  assert.deepEqual(readdirSync(folder).sort(), others);
  const info = JSON.parse(releaseJson());
  const files = new Map(["a", "a/b"].map((path) => [path, Buffer.from("x")]));
  await assert.rejects(writePackage(folder, { info, files }, ""), { code: "EEXIST" });
  assert.deepEqual(readdirSync(folder).sort(), others);
  assert.deepEqual(await statuses(broker), []);
});

test("the plugin that the broker brings runs unless it was stopped, or a package of its name is enabled", async (t) => {
  const folder = join(temporaryDirectory(t), "plugins");
  const brought = "sample_plugin-0.9";
  const builtIn = {
    info: JSON.parse(releaseJson({ rel_vsn: "0.9", rel_apps: [brought] })),
    md5sum: "",
    readme: async () => "from sources",
    schema: async () => ({ avsc: null, i18n: null }),
    shippedConfig: async () => "",
    load: async () => ({
      contract: 3,
      checkConfig: async () => [],
      completeConfig: () => ({}),
      checkBackend: async () => undefined,
      createEngine: async () => ({ storeHealth: () => undefined, start: async () => {}, stop: async () => {} }),
    }),
  };
  const first = await startPluginBroker(t, { folder, builtIn });
  assert.deepEqual(await statuses(first), [`${brought}: running`]);
  await first.install(FILE, ARCHIVE, { isLocal: true });
  await first.stop();
  const second = await startPluginBroker(t, { folder, builtIn });
  assert.deepEqual((await statuses(second)).sort(), [`${brought}: running`, `${NAME}: stopped`], "only installed");
  const headers = { "content-type": "application/json" };
  const body = '{"position":"front"}';
  assert.equal((await second.ask({ method: "POST", path: `/plugins/${NAME}/move`, headers, body })).status, 204);
  await second.stop();
  const moved = await startPluginBroker(t, { folder, builtIn });
  assert.deepEqual(
    await statuses(moved),
    [`${NAME}: stopped`, `${brought}: running`],
    "moving starts and stops nothing",
  );
  await act(moved, "stop", brought);
  await act(moved, "start");
  await moved.stop();
  const third = await startPluginBroker(t, { folder, builtIn });
  assert.deepEqual((await statuses(third)).sort(), [`${brought}: stopped`, `${NAME}: running`]);
  assert.equal((await third.ask({ method: "DELETE", path: `/plugins/${brought}` })).status, 204);
  assert.deepEqual(await statuses(third), [`${NAME}: running`]);
  await act(third, "stop");
  await third.ask({ method: "DELETE", path: `/plugins/${NAME}` });
  await third.stop();
  const fourth = await startPluginBroker(t, { folder, builtIn });
  assert.deepEqual(await statuses(fourth), [`${brought}: stopped`], "it comes back, and does not start by itself");
});

test("a configuration that was checked just before is not checked again by the broker's start, but by the next one", async (t) => {
  let checks = 0;
  const builtIn = {
    info: JSON.parse(releaseJson()),
    md5sum: "",
    isChecked: true,
    readme: async () => "",
    schema: async () => ({ avsc: null, i18n: null }),
    shippedConfig: async () => "",
    load: async () => ({
      contract: 3,
      checkConfig: async () => {
        checks++;
        return [];
      },
      completeConfig: () => ({}),
      checkBackend: async () => undefined,
      createEngine: async () => ({ storeHealth: () => undefined, start: async () => {}, stop: async () => {} }),
    }),
  };
  const broker = await startPluginBroker(t, { builtIn });
  assert.deepEqual(await statuses(broker), [`${NAME}: running`]);
  assert.equal(checks, 0);
  await act(broker, "stop");
  assert.equal((await act(broker, "start")).status, 204);
  assert.equal(checks, 1);
});

test("a package that comes again with other content is the one that is loaded", async (t) => {
  const broker = await withSample(t);
  await act(broker, "start");
  await act(broker, "stop");
  await broker.ask({ method: "DELETE", path: `/plugins/${NAME}` });
  const changed = SAMPLE_ENGINE.replace("the sample starts", "the other one starts");
  const files = { ...sampleFiles(), [`${NAME}/${MAIN}/engine.mjs`]: changed };
  assert.equal((await broker.install(FILE, packageOf(files), { isLocal: true })).status, 204);
  await act(broker, "start");
  assert.ok(broker.log.some(({ message }) => message === "the other one starts"));
});

test("a connection on which an upload was refused takes the next request", async (t) => {
  const broker = await startPluginBroker(t);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  for (const status of [403, 403, 204]) {
    if (status === 204) await allow(broker);
    const large = { ...sampleFiles(), [`${NAME}/random`]: randomBytes(1024 * 1024) };
    assert.equal((await broker.install(FILE, packageOf(large), { agent })).status, status);
  }
});

test("roles: a viewer reads, a publisher does neither, and a wrong key nothing", async (t) => {
  const broker = await withSample(t);
  const status = async (credentials: string, method: string, path: string) =>
    (await broker.ask({ method, path, credentials })).status;
  assert.equal(await status("viewer:secret", "GET", "/plugins"), 200);
  assert.equal(await status("viewer:secret", "PUT", `/plugins/${NAME}/start`), 403);
  assert.equal(await status("publisher:secret", "GET", "/plugins"), 403);
  for (const credentials of ["key:wrong", "nobody:secret", "key:", ":secret", "key"]) {
    const answer = await broker.ask({ path: "/plugins", credentials });
    refused(answer, 401, "BAD_API_KEY_OR_SECRET");
  }
  const none = await broker.ask({ path: "/plugins", credentials: "" });
  refused(none, 401, "AUTHORIZATION_HEADER_ERROR");
  assert.equal(none.headers["www-authenticate"], 'Basic Realm="emqx-dashboard"');
  refused(
    await broker.ask({ path: "/plugins", credentials: "", headers: { authorization: "Digest x" } }),
    401,
    "AUTHORIZATION_HEADER_ERROR",
  );
});

test("changes wait for each other, and no more than sixteen of them", async (t) => {
  const broker = await withSample(t);
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, at) => act(broker, at % 2 === 0 ? "start" : "stop")),
  );
  const counts = Object.groupBy(answers, ({ status }) => String(status));
  assert.deepEqual(Object.keys(counts).sort(), ["204", "503"]);
  assert.ok((counts["503"]?.length ?? 0) > 0);
  assert.equal((await act(broker, "stop")).status, 204);
  assert.deepEqual(await statuses(broker), [`${NAME}: stopped`]);
  assert.ok(existsSync(join(broker.folder, "plugins.json")));
});
