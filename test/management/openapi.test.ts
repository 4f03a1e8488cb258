// The API describes itself, and checks what it is given against that description.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeApp } from "../../src/management/app.ts";
import { exactly, oneOf } from "../../src/management/schemas.ts";
import { loggerInto } from "../broker/broker-fixture.ts";
import { startPluginBroker } from "./plugins/plugin-broker.ts";

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { readonly summary?: string; readonly security?: unknown }>>>
  >;
}

test("the document describes every path, and nobody is asked for a key", async (t) => {
  const broker = await startPluginBroker(t);
  const { status, body } = await broker.ask({ path: "/api-docs", credentials: "", isAbsolute: true });
  assert.equal(status, 200);
  const { openapi, paths } = body as Document;
  assert.match(openapi, /^3\.1\./);
  for (const path of [
    "/api/v5/plugins/{name}/config",
    "/api/v5/plugins/install",
    "/api/v5/prometheus/stats",
    "/status",
  ]) {
    assert.ok(Object.hasOwn(paths, path), path);
  }
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { summary }] of Object.entries(methods)) assert.ok(summary, `${method} ${path} has a summary`);
  }
  assert.deepEqual(paths["/status"]?.get?.security, []);
  assert.equal(paths["/api/v5/plugins"]?.get?.security, undefined);
});

test("a request is checked against the schema of its route", async () => {
  const app = makeApp(10, loggerInto([]));
  const body = exactly({ topic: oneOf(["a", "b"]) });
  const querystring = exactly({ page: { type: "integer", minimum: 1 } });
  app.post("/checked", { schema: { body, querystring } }, async ({ query }) => query);
  const wrong: [query: string, body: unknown, message: string][] = [
    ["?page=1", { topic: "a", more: 1 }, 'the body has "more", which is not known here'],
    ["?page=1", {}, 'the body has no "topic"'],
    ["?page=1", { topic: 1 }, "topic must be string"],
    ["?page=1", { topic: "c" }, 'topic must be one of "a", "b"'],
    ["?page=1", [], "the body must be object"],
    ["?page=0", { topic: "a" }, "page must be >= 1"],
    ["?page=x", { topic: "a" }, "page must be integer"],
    ["?page=1&limit=1", { topic: "a" }, 'the query string has "limit", which is not known here'],
    ["", { topic: "a" }, 'the query string has no "page"'],
  ];
  for (const [query, payload, message] of wrong) {
    const answer = await app.inject({ method: "POST", url: `/checked${query}`, payload: payload as object });
    assert.deepEqual([answer.statusCode, answer.json()], [400, { code: "BAD_REQUEST", message }]);
  }
  const right = await app.inject({ method: "POST", url: "/checked?page=2", payload: { topic: "b" } });
  assert.deepEqual([right.statusCode, right.json()], [200, { page: 2 }]);
  await app.close();
});
