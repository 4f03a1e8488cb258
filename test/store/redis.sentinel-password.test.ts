// Sentinels that ask for a password of their own.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createStore } from "../../src/engine/store.ts";
import { parsePluginConfig } from "../../src/plugin/config.ts";
import { StoreUnavailableError } from "../../src/store/errors.ts";
import { type RedisPlace, redisSkip, type SentinelSetup, startSentinel } from "../support/redis.ts";
import { inReverse } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { startStore } from "./redis-stores.ts";
import { payloads, sampleMessage, silentLogger } from "./sample-messages.ts";

const PASSWORD = "sentinel password";
/** How long a call may take, in ms. */
const TIMEOUT = 2_000;

describe("sentinels with a password", { skip: redisSkip("sentinel") }, () => {
  const scope = inReverse({ after });
  let setup: SentinelSetup;
  before(async () => {
    setup = await startSentinel(scope, { sentinelPassword: PASSWORD });
  });

  for (const [name, login] of [
    ["the password alone", { sentinelPassword: PASSWORD }],
    ["the default user by name", { sentinelUsername: "default", sentinelPassword: PASSWORD }],
  ] as const) {
    test(`${name}: the store works, and hears of a failover`, async (t) => {
      const { store } = await startStore(t, { ...setup.place, ...login });
      await setup.flush();
      await store.saveMessage(sampleMessage("t", "x"));
      const [old] = await setup.masters();
      await setup.sentinels.failover();
      await store.saveMessage(sampleMessage("t", "y"));
      assert.notEqual((await setup.masters())[0], old);
      assert.equal((await payloads(store, "t")).at(-1), "y");
    });
  }

  for (const [name, login, message] of [
    [
      "a wrong one",
      { sentinelPassword: "wrong" },
      /do not accept .*redis\.sentinel_username and redis\.sentinel_password/,
    ],
    ["a wrong user", { sentinelUsername: "nobody", sentinelPassword: PASSWORD }, /do not accept .*redis\.sentinel_/],
    ["none", { sentinelPassword: "" }, /ask for a password.*set redis\.sentinel_password/],
  ] satisfies [string, Partial<RedisPlace>, RegExp][]) {
    test(`${name}: refused, and the error says which key to correct, but not what it is`, async (t) => {
      const said: unknown[] = [];
      const say = (...entry: unknown[]) => void said.push(...entry);
      const logger = { ...silentLogger, debug: say, info: say, warn: say, error: say };
      const { store, healths } = await startStore(t, { ...setup.place, ...login }, { timeout: TIMEOUT, logger });
      await assert.rejects(store.saveMessage(sampleMessage("t")), (error: Error) => {
        assert.ok(error instanceof StoreUnavailableError);
        assert.match(error.message, message);
        return true;
      });
      await waitFor(() => healths.length > 0, { what: "the health tells" });
      const all = JSON.stringify([said, healths.map(({ error }) => error?.message)]);
      for (const secret of ["wrong", PASSWORD]) assert.ok(!all.includes(secret), all);
    });
  }

  test("comes from the plugin's configuration", async (t) => {
    const { servers, sentinel, username, password } = setup.place;
    const parsed = parsePluginConfig({
      redis: {
        enable: true,
        redis_type: "sentinel",
        servers: servers.map(({ host, port }) => `${host}:${port}`).join(),
        sentinel,
        sentinel_username: "default",
        sentinel_password: PASSWORD,
        username,
        password,
      },
    });
    assert.ok("config" in parsed);
    const { config } = parsed;
    const store = await createStore({ config, backend: "redis", configPath: "/config.hocon", logger: silentLogger });
    t.after(() => store.stop());
    await store.start({});
    await store.saveMessage(sampleMessage("t"));
  });

  test("an unknown master: the error says which key to correct", async (t) => {
    const place = { ...setup.place, sentinelPassword: PASSWORD, sentinel: "another" };
    const { store } = await startStore(t, place, { timeout: TIMEOUT });
    await assert.rejects(store.saveMessage(sampleMessage("t")), /no master "another": correct redis\.sentinel\./);
  });
});

test("a password that sentinels do not ask for is told once, by its key", {
  skip: redisSkip("sentinel"),
}, async (t) => {
  const { place } = await startSentinel(t);
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (_fields: unknown, text: string) => void warnings.push(text) };
  const { store } = await startStore(t, { ...place, sentinelPassword: "needless" }, { logger });
  await store.saveMessage(sampleMessage("t"));
  const told = warnings.filter((text) => text.startsWith("redis.sentinel_password is set, but"));
  assert.equal(told.length, 1, warnings.join("\n"));
});
