// What TLS refuses: a server that is not the one expected, and a client without its certificate.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { StoreTlsOptions } from "../../src/store/tls.ts";
import { certificatesMissing, makeAuthority } from "../support/certificates.ts";
import { type RedisSetup, redisSetups, redisSkip } from "../support/redis.ts";
import { inReverse, temporaryDirectory } from "../support/temporary-directory.ts";
import { startStore } from "./redis-stores.ts";
import { payloads, sampleMessage } from "./sample-messages.ts";

/** How long a call may take, in ms. */
const TIMEOUT = 1_000;

describe("Redis over TLS", { skip: certificatesMissing ?? redisSkip("TLS") }, () => {
  const scope = inReverse({ after });
  let setup: RedisSetup;
  let otherAuthority = "";
  before(async () => {
    setup = await redisSetups.TLS(scope);
    otherAuthority = (await makeAuthority(temporaryDirectory(scope), "other")).certfile;
  });

  for (const [name, change, cause] of [
    ["another authority", () => ({ cacertfile: otherAuthority }), /certificate/],
    [
      "another name than the certificate has",
      () => ({ serverNameIndication: "other.example" }),
      /altnames|other\.example/,
    ],
    [
      "no client certificate",
      () => ({ certfile: undefined, keyfile: undefined }),
      /certificate|handshake|alert|closed|ECONNRESET|EPIPE/i,
    ],
  ] satisfies [string, () => Partial<StoreTlsOptions>, RegExp][]) {
    test(`${name}: refused, and the health says why`, async (t) => {
      const tls = { ...(setup.place.tls as StoreTlsOptions), ...change() };
      const { store } = await startStore(t, { ...setup.place, tls }, { timeout: TIMEOUT });
      await assert.rejects(store.saveMessage(sampleMessage("t")), { code: "STORE_UNAVAILABLE" });
      assert.match((await store.checkHealth()).error?.message ?? "", cause);
    });
  }

  test("no TLS: refused", async (t) => {
    const { tls: _, ...plain } = setup.place;
    const { store } = await startStore(t, plain, { timeout: TIMEOUT });
    await assert.rejects(store.saveMessage(sampleMessage("t")), { code: "STORE_UNAVAILABLE" });
  });

  test("verify_none takes any server", async (t) => {
    const { certfile, keyfile } = setup.place.tls as StoreTlsOptions;
    const { store } = await startStore(t, { ...setup.place, tls: { certfile, keyfile, verify: "verify_none" } });
    await store.saveMessage(sampleMessage("t", "x"));
    assert.deepEqual(await payloads(store, "t"), ["x"]);
  });
});
