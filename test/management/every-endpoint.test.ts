// Every endpoint refuses what is wrong by its own schema with a code and a message, and nothing has changed.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { globSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { builtInPlugin } from "../../src/cli/built-in-plugin.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { type PluginBroker, startPluginBroker } from "./plugins/plugin-broker.ts";
import { type Document, type WrongRequest, wrongRequests } from "./wrong-requests.ts";

/** Requests that are under way at a time. */
const AT_A_TIME = 8;

test("what is wrong is refused with a code and a message, never with 5xx, and changes nothing", async (t) => {
  const folder = join(temporaryDirectory(t), "plugins");
  const accounts = join(dirname(folder), "accounts.json");
  const configuration = 'sqlite { enable = true, topics = ["#"] }';
  const broker = await startPluginBroker(t, { folder, accounts, builtIn: builtInPlugin(configuration) });
  broker.accounts.users.makeFirst();
  const { key, secret } = broker.accounts.keys.create("made", {});
  // One that cannot be locked out, however many wrong ones there are.
  const credentials = `${key.api_key}:${secret}`;
  const token = broker.accounts.tokens.issue("admin");
  const { client } = await connectClient(t, broker.address, { clientId: "client", clean: false });
  await client.subscribeAsync("t/#", { qos: 1 });
  const [plugin] = broker.embedded.plugins.list();
  const name = `${plugin?.source.info.name}-${plugin?.source.info.rel_vsn}`;
  await client.publishAsync("kept", "x", { qos: 1 });
  const messages = async () =>
    (await broker.ask({ path: "/offline_messages/messages", credentials })).body as { data: [{ msgid: string }] };
  const stored = await messages();
  const { msgid } = stored.data[0];
  const known = {
    msgid,
    name,
    action: "start",
    username: "admin",
    clientid: "client",
    topic: "t/#",
    node: "omp@127.0.0.1",
    id: "0",
  };
  const document = (await broker.ask({ path: "/api-docs", isAbsolute: true, credentials })).body as Document;
  const before = await state(broker, folder, token, credentials);

  const requests = wrongRequests(document, known);
  assert.ok(requests.length > 500, `${requests.length} requests`);
  const isForUsers = (path: string) => /^\/api\/v5\/(?:users|api_key|logout)\b/.test(path);
  const wrong: string[] = [];
  const send = async (request: WrongRequest): Promise<void> => {
    const asUser = isForUsers(request.path) && request.credentials === undefined;
    const headers = asUser ? { ...request.headers, authorization: `Bearer ${token}` } : request.headers;
    const { status, body } = await broker.ask({
      ...request,
      credentials: asUser ? "" : (request.credentials ?? credentials),
      headers,
    });
    const { code, reason_code, message } = (body || {}) as Record<string, unknown>;
    const isTold = (typeof code === "string" || typeof reason_code === "number") && typeof message === "string";
    if (status < 400 || status > 499 || !isTold) wrong.push(`${status} ${JSON.stringify(body)} for ${request.what}`);
  };
  const queue = [...requests];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await send(next);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  assert.deepEqual(wrong, []);
  assert.deepEqual(await state(broker, folder, token, credentials), before);
  assert.deepEqual(await messages(), stored);
  assert.ok(!broker.log.some(({ level }) => level === "error"));
  await client.publishAsync("t/1", "still here", { qos: 1 });
});

/** All that a request could have changed. */
async function state(broker: PluginBroker, folder: string, token: string, credentials: string) {
  const answers: unknown[] = [];
  for (const path of ["/users", "/api_key"]) {
    answers.push((await broker.ask({ path, credentials: "", headers: { authorization: `Bearer ${token}` } })).body);
  }
  const [plugin] = (await broker.ask({ path: "/plugins", credentials })).body as { name: string; rel_vsn: string }[];
  answers.push(
    plugin,
    (await broker.ask({ path: `/plugins/${plugin?.name}-${plugin?.rel_vsn}/config`, credentials })).body,
  );
  const files = globSync("**/*", { cwd: dirname(folder) })
    .filter((file) => !/\.db(?:-\w+)?$/.test(file))
    .sort()
    .map((file) => {
      const path = join(dirname(folder), file);
      return [file, statSync(path).isFile() && createHash("md5").update(readFileSync(path)).digest("hex")];
    });
  return { answers, files };
}
