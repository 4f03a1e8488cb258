// The plugin endpoints answer what a live EMQX has answered: same status, code and shape.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { type Answer, type Asked, startPluginBroker } from "./plugin-broker.ts";
import { packageOf, releaseJson, sampleFiles } from "./sample-package.ts";

interface Call {
  readonly note?: string;
  readonly method: string;
  readonly path: string;
  readonly request?: unknown;
  readonly status: number;
  readonly response: unknown;
}

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

/** A package of the recorded plugin, with the keys of its release.json. */
function recordedPackage(name: string, version: string): Buffer {
  const plugin = `${name}-${version}`;
  const files = Object.entries(sampleFiles()).map(([path, content]) => [
    path.replaceAll("sample_plugin-1.0.0", plugin),
    content,
  ]);
  const [listed] = (calls[0] as Call).response as [Record<string, unknown>];
  const { md5sum: _m, running_status: _r, health_status: _h, ...keys } = listed;
  const release = releaseJson({ ...keys, name, rel_vsn: version, rel_apps: [plugin] });
  return packageOf({ ...Object.fromEntries(files), [`${plugin}/release.json`]: release });
}

test("the recorded calls", async (t) => {
  const broker = await startPluginBroker(t);
  const archive = recordedPackage("emqx_offline_message_plugin", "2.0.0");
  assert.ok(gunzipSync(archive).length > 0);
  await broker.ask({ method: "POST", path: `/plugins/${RECORDED}/allow`, isLocal: true });
  assert.equal((await broker.install(`${RECORDED}.tar.gz`, archive)).status, 204);
  assert.equal((await broker.ask({ method: "PUT", path: `/plugins/${RECORDED}/start` })).status, 204);
  let made = 0;
  for (const call of calls) {
    // The configuration endpoints come with the next step.
    if (call.path.endsWith("/config")) continue;
    made += 1;
    const at = `${call.method} ${call.path}${call.note === "bad position" ? " bad position" : ""}`;
    const answer = await make(broker, call);
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
  t.diagnostic(`${made} of ${calls.length} calls are made; the others are of the configuration endpoints`);
  assert.ok(made > 20);
});

async function make(broker: Awaited<ReturnType<typeof startPluginBroker>>, call: Call): Promise<Answer> {
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
          body: typeof request === "string" ? request : JSON.stringify(request),
        }),
  };
  return broker.ask(asked);
}

/** Objects have the same keys, lists items of the same shape, and other values are of the same type. */
function sameShape(found: unknown, expected: unknown, where: string): void {
  if (Array.isArray(expected)) {
    assert.ok(Array.isArray(found), where);
    assert.equal(found.length > 0, expected.length > 0, where);
    for (const item of found) sameShape(item, expected[0], `${where}[]`);
  } else if (typeof expected === "object" && expected !== null) {
    assert.deepEqual(Object.keys(found as object).sort(), Object.keys(expected).sort(), where);
    for (const [key, value] of Object.entries(expected)) {
      sameShape((found as Record<string, unknown>)[key], value, `${where}.${key}`);
    }
    // The recording has a word in the place of these.
  } else if (!/^<.*>$/.test(String(expected))) assert.equal(typeof found, typeof expected, where);
}
