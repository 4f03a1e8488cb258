// Accounts over HTTP: signing in and out, users and their passwords, API keys, roles; and what lies in the file.

import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Accounts } from "../../../src/management/accounts/accounts.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { waitFor } from "../../support/wait-for.ts";
import {
  type Asked,
  type PluginBroker,
  type PluginBrokerOptions,
  startPluginBroker,
} from "../plugins/plugin-broker.ts";

interface Signed {
  readonly token: string;
  readonly role: string;
}

async function start(t: TestContext, options: PluginBrokerOptions = {}) {
  const path = join(temporaryDirectory(t), "accounts.json");
  const broker = await startPluginBroker(t, { accounts: path, ...options });
  const first = broker.accounts.users.makeFirst();
  assert.ok(first);
  return { broker, path, admin: first };
}

const json = (method: string, path: string, body: unknown, headers = {}): Asked => ({
  method,
  path,
  credentials: "",
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(body),
});

async function signIn(broker: PluginBroker, username: string, password: string): Promise<Signed> {
  const { status, body } = await broker.ask(json("POST", "/login", { username, password }));
  assert.equal(status, 200, JSON.stringify(body));
  return body as Signed;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** Asks as who has this token. */
const asking = (broker: PluginBroker, token: string) => (method: string, path: string, body?: unknown) =>
  broker.ask(
    body === undefined
      ? { method, path, credentials: "", headers: bearer(token) }
      : json(method, path, body, bearer(token)),
  );

function codeOf({ status, body }: { readonly status: number; readonly body: unknown }): unknown[] {
  return [status, (body as { code?: string }).code];
}

test("the first user is made once, signs in, and only a hash is kept", async (t) => {
  const { broker, path, admin } = await start(t);
  assert.equal(broker.accounts.users.makeFirst(), undefined);
  assert.equal(new Accounts({ path }).users.makeFirst(), undefined);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.ok(!readFileSync(path, "utf8").includes(admin.password));
  const { token, role } = await signIn(broker, "admin", admin.password);
  assert.equal(role, "administrator");
  const { status, body } = await broker.ask({ path: "/users", credentials: "", headers: bearer(token) });
  assert.deepEqual(
    [status, body],
    [200, [{ username: "admin", role: "administrator", description: "", backend: "local" }]],
  );
  const plugins = await broker.ask({ path: "/plugins", credentials: "", headers: bearer(token) });
  assert.equal(plugins.status, 200);
});

test("wrong names and passwords are refused alike, and then locked out until the owner makes another password", async (t) => {
  const { broker, admin } = await start(t);
  for (const [username, password] of [
    ["nobody", admin.password],
    ["admin", "wrong"],
    ["admin", ""],
    ["__proto__", "x"],
  ]) {
    assert.deepEqual(codeOf(await broker.ask(json("POST", "/login", { username, password }))), [
      401,
      "BAD_USERNAME_OR_PWD",
    ]);
  }
  for (let attempt = 2; attempt < 5; attempt++) {
    await broker.ask(json("POST", "/login", { username: "admin", password: `guess${attempt}` }));
  }
  const right = json("POST", "/login", { username: "admin", password: admin.password });
  assert.deepEqual(codeOf(await broker.ask(right)), [401, "LOGIN_LOCKED"]);
  const reset = await broker.ask({ method: "POST", path: "/users/admin/reset_pwd", isLocal: true });
  assert.equal(reset.status, 200);
  assert.deepEqual(codeOf(await broker.ask(right)), [401, "BAD_USERNAME_OR_PWD"]);
  await signIn(broker, "admin", (reset.body as { password: string }).password);
  assert.deepEqual(codeOf(await broker.ask({ method: "POST", path: "/users/nobody/reset_pwd", isLocal: true })), [
    404,
    "USER_NOT_FOUND",
  ]);
  assert.ok(!JSON.stringify(broker.log).includes(admin.password));
});

test("many attempts at once are no way round the limit", async (t) => {
  const { broker } = await start(t);
  const attempts = Array.from({ length: 12 }, (_, at) =>
    broker.ask(json("POST", "/login", { username: "admin", password: `guess${at}` })),
  );
  const codes = (await Promise.all(attempts)).map((answer) => codeOf(answer)[1]);
  assert.equal(codes.filter((code) => code === "BAD_USERNAME_OR_PWD").length, 5);
  assert.equal(codes.filter((code) => code === "LOGIN_LOCKED").length, 7);
});

test("a password that was changed meanwhile lets nobody in, and is not changed back", async (t) => {
  const { broker, admin } = await start(t);
  const { token } = await signIn(broker, "admin", admin.password);
  const logins = Array.from({ length: 3 }, () =>
    broker.ask(json("POST", "/login", { username: "admin", password: admin.password })),
  );
  const change = broker.ask(
    json("POST", "/users/admin/change_pwd", { old_pwd: admin.password, new_pwd: "stolen-pw-1" }, bearer(token)),
  );
  await waitFor(() => broker.accounts.failedLogins.size > 0, { what: "the first that is looked at" });
  const password = broker.accounts.users.resetPassword("admin");
  for (const answer of await Promise.all(logins)) {
    const { token = "" } = answer.body as { token?: string };
    const list = await broker.ask({ path: "/users", credentials: "", headers: bearer(token) });
    assert.equal(list.status, 401);
  }
  assert.equal((await change).status >= 400, true);
  await signIn(broker, "admin", password);
});

test("where too many sign in at once, nothing counts as failed", async (t) => {
  const { broker, admin } = await start(t);
  const login = (username: string, password: string) => broker.ask(json("POST", "/login", { username, password }));
  const crowd = Array.from({ length: 45 }, (_, at) => login(`nobody${at}`, "x"));
  const right = Array.from({ length: 8 }, () => login("admin", admin.password));
  const codes = (await Promise.all([...crowd, ...right])).map((answer) => codeOf(answer)[1]);
  assert.ok(codes.includes("SERVICE_UNAVAILABLE"));
  assert.equal((await login("admin", admin.password)).status, 200);
  const { level } = broker.log.find(({ message }) => message === "an HTTP request could not be answered now") ?? {};
  assert.equal(level, "warn");
});

test("a token ends with its time, with signing out, and with a new password", async (t) => {
  const clock = { now: 0 };
  const { broker, admin } = await start(t, { accountsParts: { now: () => clock.now } });
  const { token } = await signIn(broker, "admin", admin.password);
  const list = (of: string) => broker.ask({ path: "/users", credentials: "", headers: bearer(of) });
  clock.now += 3_599_999;
  assert.equal((await list(token)).status, 200);
  clock.now += 3_600_000;
  assert.deepEqual(codeOf(await list(token)), [401, "TOKEN_TIME_OUT"]);
  assert.deepEqual(codeOf(await list(token)), [401, "BAD_TOKEN"]);

  const second = (await signIn(broker, "admin", admin.password)).token;
  const third = (await signIn(broker, "admin", admin.password)).token;
  const out = (username: string) => broker.ask(json("POST", "/logout", { username }, bearer(second)));
  assert.deepEqual(codeOf(await out("other")), [401, "WRONG_TOKEN_OR_USERNAME"]);
  assert.equal((await out("admin")).status, 204);
  assert.deepEqual(codeOf(await list(second)), [401, "BAD_TOKEN"]);
  assert.equal((await list(third)).status, 200);

  const change = (old_pwd: string, new_pwd: string) =>
    broker.ask(json("POST", "/users/admin/change_pwd", { old_pwd, new_pwd }, bearer(third)));
  assert.deepEqual(codeOf(await change("wrong", "a-new-1-password")), [400, "ERROR_PWD_NOT_MATCH"]);
  for (const bad of ["short1", "onlyletters", "12345678", `a1${"x".repeat(63)}`, "äöü-12345"]) {
    assert.deepEqual(codeOf(await change(admin.password, bad)), [400, "BAD_REQUEST"], bad);
  }
  assert.equal((await change(admin.password, "a-new-1-password")).status, 204);
  assert.deepEqual(codeOf(await list(third)), [401, "BAD_TOKEN"]);
  await signIn(broker, "admin", "a-new-1-password");
});

test("users are added, changed and removed; a viewer reads and changes its own password", async (t) => {
  const { broker, path, admin } = await start(t);
  const { token } = await signIn(broker, "admin", admin.password);
  const asAdmin = asking(broker, token);
  const added = await asAdmin("POST", "/users", { username: "eve", password: "pass-word-1", role: "viewer" });
  assert.deepEqual(
    [added.status, added.body],
    [200, { username: "eve", role: "viewer", description: "", backend: "local" }],
  );
  assert.ok(!readFileSync(path, "utf8").includes("pass-word-1"));
  const again = await asAdmin("POST", "/users", { username: "eve", password: "pass-word-1" });
  assert.deepEqual(codeOf(again), [400, "BAD_REQUEST"]);
  for (const username of ["", "a b", "ä", "x".repeat(101), "a/b", "../x"]) {
    const { status, body } = await asAdmin("POST", "/users", { username, password: "pass-word-1" });
    assert.deepEqual([status, (body as { code: string }).code], [400, "BAD_REQUEST"], username);
  }

  const eve = await signIn(broker, "eve", "pass-word-1");
  assert.equal(eve.role, "viewer");
  const asEve = (asked: Asked) => broker.ask({ ...asked, headers: { ...asked.headers, ...bearer(eve.token) } });
  assert.equal((await asEve({ path: "/plugins", credentials: "" })).status, 200);
  for (const refused of [
    json("POST", "/users", { username: "mallory", password: "pass-word-1" }),
    json("PUT", "/users/eve", { role: "administrator" }),
    json("POST", "/api_key", { name: "k" }),
    json("POST", "/users/admin/change_pwd", { old_pwd: admin.password, new_pwd: "pass-word-2" }),
    { method: "DELETE", path: "/users/admin", credentials: "" },
    { method: "PUT", path: "/plugins/a-1/start", credentials: "" },
  ]) {
    assert.deepEqual(codeOf(await asEve(refused)), [403, "UNAUTHORIZED_ROLE"], `${refused.method} ${refused.path}`);
  }
  const own = await asEve(json("POST", "/users/eve/change_pwd", { old_pwd: "pass-word-1", new_pwd: "pass-word-2" }));
  assert.equal(own.status, 204);

  const changed = await asAdmin("PUT", "/users/eve", { role: "administrator", description: "on call" });
  assert.deepEqual(changed.body, { username: "eve", role: "administrator", description: "on call", backend: "local" });
  assert.deepEqual(codeOf(await asAdmin("DELETE", "/users/admin")), [400, "NOT_ALLOWED"]);
  const { token: second } = await signIn(broker, "eve", "pass-word-2");
  assert.equal((await asAdmin("DELETE", "/users/eve")).status, 204);
  const gone = await broker.ask({ path: "/plugins", credentials: "", headers: bearer(second) });
  assert.deepEqual(codeOf(gone), [401, "BAD_TOKEN"]);
  assert.deepEqual(codeOf(await asAdmin("DELETE", "/users/eve")), [404, "USER_NOT_FOUND"]);
  assert.deepEqual(codeOf(await asAdmin("PUT", "/users/admin", { role: "viewer" })), [400, "NOT_ALLOWED"]);
  assert.deepEqual(codeOf(await asAdmin("PUT", "/users/eve", { role: "viewer" })), [404, "USER_NOT_FOUND"]);
});

test("API keys are created with a secret that is told once, used, disabled, and end", async (t) => {
  const { broker, path, admin } = await start(t);
  const { token } = await signIn(broker, "admin", admin.password);
  const asAdmin = asking(broker, token);
  const created = await asAdmin("POST", "/api_key", { name: "ci", role: "viewer", desc: "for CI" });
  assert.equal(created.status, 200);
  const { api_key, api_secret, ...told } = created.body as Record<string, string>;
  assert.deepEqual(
    { ...told, created_at: "" },
    {
      name: "ci",
      role: "viewer",
      enable: true,
      desc: "for CI",
      created_at: "",
      expired_at: "infinity",
      expired: false,
    },
  );
  assert.ok(!readFileSync(path, "utf8").includes(api_secret ?? "?"));
  const credentials = `${api_key}:${api_secret}`;
  assert.equal((await broker.ask({ path: "/plugins", credentials })).status, 200);
  assert.deepEqual(codeOf(await broker.ask({ method: "PUT", path: "/plugins/a-1/start", credentials })), [
    403,
    "UNAUTHORIZED_ROLE",
  ]);
  for (const path of ["/users", "/api_key", "/api_key/ci"]) {
    for (const credentials of ["key:secret", `${api_key}:${api_secret}`]) {
      assert.deepEqual(codeOf(await broker.ask({ path, credentials })), [401, "API_KEY_NOT_ALLOW"], path);
    }
  }
  const one = await asAdmin("GET", "/api_key/ci");
  assert.deepEqual(one.body, { ...told, api_key });
  assert.deepEqual((await asAdmin("GET", "/api_key")).body, [one.body]);
  assert.deepEqual(codeOf(await asAdmin("POST", "/api_key", { name: "ci" })), [400, "BAD_REQUEST"]);
  assert.deepEqual(codeOf(await asAdmin("POST", "/api_key", { name: "1 x" })), [400, "BAD_REQUEST"]);

  await asAdmin("PUT", "/api_key/ci", { enable: false });
  assert.deepEqual(codeOf(await broker.ask({ path: "/plugins", credentials })), [401, "BAD_API_KEY_OR_SECRET"]);
  await asAdmin("PUT", "/api_key/ci", { enable: true, expired_at: "2020-01-01T00:00:00Z" });
  assert.deepEqual(codeOf(await broker.ask({ path: "/plugins", credentials })), [401, "BAD_API_KEY_OR_SECRET"]);
  assert.equal(((await asAdmin("GET", "/api_key/ci")).body as { expired: boolean }).expired, true);
  await asAdmin("PUT", "/api_key/ci", { expired_at: "infinity" });
  assert.equal((await broker.ask({ path: "/plugins", credentials })).status, 200);
  for (const expired_at of ["soon", "2027-02-30T12:00:00Z", "2027-01-31T12:00", "2027-01-31", "2027-13-01T12:00:00Z"]) {
    assert.deepEqual(codeOf(await asAdmin("PUT", "/api_key/ci", { expired_at })), [400, "BAD_REQUEST"], expired_at);
  }
  assert.equal((await asAdmin("DELETE", "/api_key/ci")).status, 204);
  assert.deepEqual(codeOf(await broker.ask({ path: "/plugins", credentials })), [401, "BAD_API_KEY_OR_SECRET"]);
  for (const method of ["GET", "DELETE"]) {
    assert.deepEqual(codeOf(await asAdmin(method, "/api_key/ci")), [404, "NOT_FOUND"]);
  }
});

test("a key that somebody thought up is guarded against guessing; one that was made here cannot be locked out", async (t) => {
  const { broker } = await start(t);
  const made = broker.accounts.keys.create("made", {});
  const madeKey = `${made.key.api_key}:${made.secret}`;
  for (let attempt = 0; attempt < 5; attempt++) {
    for (const key of ["key", made.key.api_key]) {
      const answer = await broker.ask({ path: "/plugins", credentials: `${key}:guess${attempt}` });
      assert.deepEqual(codeOf(answer), [401, "BAD_API_KEY_OR_SECRET"]);
    }
  }
  assert.deepEqual(codeOf(await broker.ask({ path: "/plugins" })), [401, "LOGIN_LOCKED"]);
  assert.equal((await broker.ask({ path: "/plugins", credentials: madeKey })).status, 200);
});

test("what is no header, no scheme and no token is told as such", async (t) => {
  const { broker } = await start(t);
  for (const authorization of ["", "Digest x", "Bearer", "Basic ", "bearer a b"]) {
    const { status, body, headers } = await broker.ask({
      path: "/plugins",
      credentials: "",
      headers: { authorization },
    });
    assert.deepEqual([status, (body as { code: string }).code], [401, "AUTHORIZATION_HEADER_ERROR"], authorization);
    assert.equal(headers["www-authenticate"], 'Basic Realm="emqx-dashboard"');
  }
  for (const token of ["x", "eyJhbGciOi.J9", "%00"]) {
    const answer = await broker.ask({ path: "/plugins", credentials: "", headers: bearer(token) });
    assert.deepEqual(codeOf(answer), [401, "BAD_TOKEN"]);
  }
});

test("a file that cannot be used is told, and not replaced", (t) => {
  const path = join(temporaryDirectory(t), "accounts.json");
  for (const content of ["", "{", "[]", '{"users": []}', '{"users": [{"username": 1}], "api_keys": []}']) {
    writeFileSync(path, content);
    assert.throws(() => new Accounts({ path }), { code: "ACCOUNT_FILE_INVALID" }, content);
    assert.equal(readFileSync(path, "utf8"), content);
  }
});
