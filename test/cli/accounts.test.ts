// The first user in the greeting, and `omp admins` and `omp keys` on a broker that runs.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type RunningBroker, runOmp, startBroker } from "../support/omp.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const PASSWORD = /^The user admin of the HTTP API was made, with the password\n {2}(\S+)$/m;

function api(broker: RunningBroker, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(new URL(path, broker.metricsUrl), init);
}

async function login(broker: RunningBroker, username: string, password: string): Promise<number> {
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ username, password });
  return (await api(broker, "/api/v5/login", { method: "POST", headers, body })).status;
}

test("the first start shows a password once, and the owner makes others", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  const first = await startBroker(t, { dataDirectory });
  const [, password = ""] = PASSWORD.exec(first.child.stdout) ?? [];
  assert.match(password, /^[a-z2-9]{4}(-[a-z2-9]{4}){5}$/);
  assert.equal(await login(first, "admin", password), 200);
  await first.stop();
  assert.ok(!first.child.stderr.includes(password));

  const broker = await startBroker(t, { dataDirectory });
  assert.doesNotMatch(broker.child.stdout, PASSWORD);
  assert.equal(await login(broker, "admin", password), 200);
  const omp = (...args: string[]) => runOmp([...args, "--data-dir", dataDirectory]);
  const other = await omp("admins", "passwd", "admin");
  assert.equal(other.code, 0, other.stderr);
  assert.equal(await login(broker, "admin", password), 401);
  assert.equal(await login(broker, "admin", other.stdout.trim()), 200);

  const added = await omp("admins", "add", "eve", "--role", "viewer", "--description", "on call");
  assert.equal(await login(broker, "eve", added.stdout.trim()), 200);
  assert.equal((await omp("admins", "list")).stdout, "admin  administrator\neve    viewer         on call\n");
  assert.equal((await omp("admins", "del", "eve")).stdout, "eve: removed\n");
  assert.equal(await login(broker, "eve", added.stdout.trim()), 401);

  const wrong: [args: string[], code: number, line: RegExp][] = [
    [["admins", "del", "admin"], 1, /^omp: admin is the only administrator: make another one first\.$/m],
    [["admins", "add", "admin"], 1, /^omp: The user admin is there already\.$/m],
    [["admins", "add", "a b"], 1, /^omp: username must match pattern/m],
    [["admins", "add", "x", "--role", "king"], 1, /^omp: role must be one of "administrator", "viewer"$/m],
    [["admins", "passwd", "nobody"], 1, /^omp: There is no user "nobody"\.$/m],
    [["admins", "passwd"], 2, /^omp: omp admins passwd needs USERNAME: omp admins passwd USERNAME$/m],
    [["admins", "jump"], 2, /^omp: unknown command jump \(omp admins --help lists all\)$/m],
    [["keys", "create", "k", "--expires", "soon"], 1, /^omp: expired_at must be a time such as /m],
    [["keys", "enable", "none"], 1, /^omp: There is no API key "none"\.$/m],
  ];
  for (const [args, code, line] of wrong) {
    const result = await omp(...args);
    assert.deepEqual([result.code, line.test(result.stderr)], [code, true], `${args.join(" ")}: ${result.stderr}`);
  }
});

test("API keys are created, disabled and deleted, and outlive the broker", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  const first = await startBroker(t, { dataDirectory });
  const omp = (...args: string[]) => runOmp([...args, "--data-dir", dataDirectory]);
  assert.equal((await omp("keys", "list")).stdout, "there is no API key: omp keys create NAME makes one\n");
  const created = await omp("keys", "create", "ci", "--role", "viewer", "--expires", "2999-01-01T00:00:00Z");
  const key = created.stdout.trim();
  const authorization = `Basic ${Buffer.from(key).toString("base64")}`;
  const status = async (broker: RunningBroker) =>
    (await api(broker, "/api/v5/plugins", { headers: { authorization } })).status;
  assert.equal(await status(first), 200, created.stderr);
  assert.ok(!readFileSync(join(dataDirectory, "accounts.json"), "utf8").includes(key.split(":")[1] ?? "?"));
  assert.match(
    (await omp("keys", "list")).stdout,
    /^ci {2}\S{16} {2}viewer {2}enabled {2}until 2999-01-01T00:00:00\.000Z\n$/,
  );
  await first.stop();
  const second = await startBroker(t, { dataDirectory });
  assert.equal(await status(second), 200);
  assert.equal((await omp("keys", "disable", "ci")).stdout, "ci: disabled\n");
  assert.equal(await status(second), 401);
  await omp("keys", "enable", "ci");
  assert.equal(await status(second), 200);
  await omp("keys", "delete", "ci");
  assert.equal(await status(second), 401);
});

test("accounts that cannot be read keep the broker from starting", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  writeFileSync(join(dataDirectory, "accounts.json"), "[]");
  const { code, stderr } = await runOmp([
    "broker",
    "--data-dir",
    dataDirectory,
    "--port",
    "0",
    "--dashboard-port",
    "0",
  ]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^omp: \S+accounts\.json cannot be used \(it is no list of users and API keys\): put a backup in its place/m,
  );
});
