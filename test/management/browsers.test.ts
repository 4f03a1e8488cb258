// What browsers are told, and that pages of other sites cannot act through them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startPluginBroker } from "./plugins/plugin-broker.ts";

const SITE = "https://example.org";

test("answers are neither kept, framed nor taken for something else, and no other site may read them", async (t) => {
  const broker = await startPluginBroker(t);
  for (const path of ["/plugins", "/status?format=json", "/nothing"]) {
    const { headers } = await broker.ask({ path, headers: { origin: SITE } });
    assert.equal(headers["cache-control"], "no-store", path);
    assert.equal(headers["x-content-type-options"], "nosniff", path);
    assert.equal(headers["x-frame-options"], "DENY", path);
    assert.equal(headers["content-security-policy"], "default-src 'none';frame-ancestors 'none'", path);
    assert.equal(headers["strict-transport-security"], undefined, path);
    assert.equal(headers["access-control-allow-origin"], undefined, path);
  }
});

test("a form of another site changes nothing, whatever credentials the browser remembers", async (t) => {
  const broker = await startPluginBroker(t);
  for (const method of ["POST", "PUT", "DELETE"]) {
    for (const origin of [SITE, "null", "http://127.0.0.1:1", broker.url.replace("127.0.0.1", "127.0.0.2")]) {
      const { status, body } = await broker.ask({ method, path: "/plugins/a-1", headers: { origin } });
      assert.deepEqual([status, (body as { code: string }).code], [403, "FORBIDDEN"], `${method} from ${origin}`);
    }
  }
  const own = await broker.ask({ method: "DELETE", path: "/plugins/a-1", headers: { origin: broker.url } });
  assert.equal(own.status, 404);
});

test("a call that a page of another site makes is not even tried, but a link may lead here", async (t) => {
  const broker = await startPluginBroker(t, { management: { origins: [SITE] } });
  const headers = { "sec-fetch-site": "cross-site" };
  for (const credentials of ["key:secret", "key:wrong"]) {
    const { status, body } = await broker.ask({ path: "/plugins", credentials, headers });
    assert.deepEqual([status, (body as { code: string }).code], [403, "FORBIDDEN"]);
  }
  assert.equal(broker.accounts.failedLogins.size, 0);
  assert.equal((await broker.ask({ path: "/status", isAbsolute: true, credentials: "", headers })).status, 200);
  assert.equal((await broker.ask({ path: "/plugins", headers: { ...headers, origin: SITE } })).status, 200);
});

test("the sites that dashboard.cors names may", async (t) => {
  const broker = await startPluginBroker(t, { management: { origins: [SITE] } });
  const preflight = await broker.ask({
    method: "OPTIONS",
    path: "/plugins/a-1",
    credentials: "",
    headers: { origin: SITE, "access-control-request-method": "DELETE" },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers["access-control-allow-origin"], SITE);
  assert.match(String(preflight.headers["access-control-allow-methods"]), /DELETE/);
  const { status, headers } = await broker.ask({ method: "DELETE", path: "/plugins/a-1", headers: { origin: SITE } });
  assert.deepEqual([status, headers["access-control-allow-origin"]], [404, SITE]);
  const other = await broker.ask({ path: "/plugins", headers: { origin: "https://example.com" } });
  assert.notEqual(other.headers["access-control-allow-origin"], "https://example.com");
});
