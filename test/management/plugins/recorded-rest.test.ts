// The plugin endpoints answer what a live EMQX has answered: same status, code and shape.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { builtInPlugin } from "../../../src/cli/built-in-plugin.ts";
import type { PluginSource } from "../../../src/management/plugins/plugin-source.ts";
import { redisSkip, startSingle } from "../../support/redis.ts";
import { type Answer, type Asked, type PluginBroker, startPluginBroker } from "./plugin-broker.ts";

interface Call {
  readonly note?: string;
  readonly method: string;
  readonly path: string;
  readonly request?: unknown;
  readonly status: number;
  readonly response: unknown;
}

/** Where its Redis was. */
const RECORDED_REDIS = "127.0.0.1:16379";
const RECORDED = "emqx_offline_message_plugin-2.0.0";
const calls: readonly Call[] = readFileSync(new URL("../recorded/rest-plugins-6.0.1.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

/** Where EMQX is wrong. */
const CORRECTED: Readonly<Record<string, { readonly status: number; readonly code: string }>> = {
  // It answers 204, as if it had started.
  "PUT /api/v5/plugins/nope-1.0.0/start": { status: 404, code: "NOT_FOUND" },
  // It fails with 500.
  [`POST /api/v5/plugins/${RECORDED}/move bad position`]: { status: 400, code: "BAD_POSITION" },
  // It takes away what runs.
  [`DELETE /api/v5/plugins/${RECORDED}`]: { status: 400, code: "PARAM_ERROR" },
};

/** Our plugin under the recorded name and version, with the recorded configuration to begin with. */
function recordedPlugin(redis: string): PluginSource {
  const [listed] = (calls[0] as Call).response as [Record<string, unknown>];
  const { md5sum: _m, running_status: _r, health_status: _h, ...keys } = listed;
  const config = calls.find(({ method, path }) => method === "GET" && path.endsWith(`${RECORDED}/config`))?.response;
  return {
    ...builtInPlugin(JSON.stringify(config).replaceAll(RECORDED_REDIS, redis)),
    info: keys as unknown as PluginSource["info"],
  };
}

test("the recorded calls", { skip: redisSkip("single") }, async (t) => {
  const [server] = (await startSingle(t)).place.servers;
  const redis = `${server?.host}:${server?.port}`;
  const broker = await startPluginBroker(t, { builtIn: recordedPlugin(redis) });
  for (const call of calls) {
    const at = `${call.method} ${call.path}${call.note === "bad position" ? " bad position" : ""}`;
    const answer = await make(broker, call, redis);
    const corrected = CORRECTED[at];
    const expected = corrected ?? { status: call.status, code: (call.response as { code?: string }).code };
    assert.equal(answer.status, expected.status, `${at} (${call.note}): ${JSON.stringify(answer.body)}`);
    if (expected.code !== undefined) {
      const { code, message } = answer.body as Record<string, string>;
      assert.equal(code, expected.code, at);
      assert.ok((message ?? "").length > 0, at);
    } else if (call.status === 200) sameShape(answer.body, call.response, at);
    if (at === `DELETE /api/v5/plugins/${RECORDED}`) {
      assert.equal((await broker.ask({ method: "PUT", path: `/plugins/${RECORDED}/stop` })).status, 204);
      assert.equal((await broker.ask({ method: "DELETE", path: `/plugins/${RECORDED}` })).status, 204);
    }
  }
});

async function make(broker: PluginBroker, call: Call, redis: string): Promise<Answer> {
  const { note, method, path, request } = call;
  const multipart = /^<multipart: field (\w+), file name (.+?), \d+ bytes>$/.exec(String(request));
  if (multipart !== null) {
    const [, field = "", fileName = ""] = multipart;
    return broker.install(fileName, Buffer.from("a package"), { field });
  }
  const credentials = { "no credentials": "", "wrong credentials": "key:wrong" }[note ?? ""];
  const asked: Asked = {
    method,
    path: path.replace("/api/v5", ""),
    ...(credentials === undefined ? undefined : { credentials }),
    ...(request === undefined
      ? undefined
      : {
          headers: { "content-type": "application/json" },
          body: (typeof request === "string" ? request : JSON.stringify(request)).replaceAll(RECORDED_REDIS, redis),
        }),
  };
  return broker.ask(asked);
}

/** Objects have the same keys (configurations those and ours), lists items of the same shape, and other values are of the same type. */
function sameShape(found: unknown, expected: unknown, where: string): void {
  if (Array.isArray(expected)) {
    assert.ok(Array.isArray(found), where);
    assert.equal(found.length > 0, expected.length > 0, where);
    for (const item of found) sameShape(item, expected[0], `${where}[]`);
  } else if (typeof expected === "object" && expected !== null) {
    const keys = Object.keys(found as object).filter((key) => !where.includes("/config") || key in expected);
    assert.deepEqual(keys.sort(), Object.keys(expected).sort(), where);
    for (const [key, value] of Object.entries(expected)) {
      sameShape((found as Record<string, unknown>)[key], value, `${where}.${key}`);
    }
    // The recording has a word in the place of these.
  } else if (!/^<.*>$/.test(String(expected))) assert.equal(typeof found, typeof expected, where);
}
