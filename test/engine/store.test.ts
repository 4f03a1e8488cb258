// What a user is told of the store before it is asked for anything: where it is, and what has no effect.

import assert from "node:assert/strict";
import test from "node:test";
import { createStore, describeStore } from "../../src/engine/store.ts";
import type { Logger } from "../../src/mqtt/logger.ts";
import { type PluginConfig, parsePluginConfig } from "../../src/plugin/config.ts";
import { silentLogger } from "../store/sample-messages.ts";

const CONFIG_PATH = "/data/config.hocon";

function redisConfig(redis: object): PluginConfig {
  const result = parsePluginConfig({ redis: { enable: true, ...redis } });
  assert.ok("config" in result, JSON.stringify(result));
  return result.config;
}

async function warningsOf(redis: object): Promise<string[]> {
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (_fields: unknown, text: string) => warnings.push(text) };
  await createStore({ config: redisConfig(redis), backend: "redis", configPath: CONFIG_PATH, logger });
  return warnings;
}

for (const [name, redis, where] of [
  ["a single server", {}, "Redis at 127.0.0.1:6379 (single)"],
  ["the first of several, for single", { servers: "a:1, b:2" }, "Redis at a:1 (single)"],
  ["another database", { database: 5 }, "Redis at 127.0.0.1:6379 (single, database 5)"],
  ["TLS", { ssl: { enable: true }, servers: "[::1]" }, "Redis at [::1]:6379 (single, TLS)"],
  [
    "sentinels",
    { redis_type: "sentinel", sentinel: "m", servers: "a,b:2", database: 1, ssl: { enable: true } },
    "Redis at a:26379, b:2 (sentinel of m, database 1, TLS)",
  ],
  [
    "a cluster, which has one database",
    { redis_type: "cluster", database: 5, servers: "a,b" },
    "Redis at a:6379, b:6379 (cluster)",
  ],
] as const) {
  test(`says where the store is: ${name}`, () => {
    assert.equal(describeStore(redisConfig(redis), "redis", CONFIG_PATH), where);
  });
}

for (const [name, redis, warning] of [
  [
    "a database of a cluster",
    { redis_type: "cluster", database: 5 },
    /^redis\.database has no effect with redis_type = cluster/,
  ],
  ["further servers", { servers: "a:1,b:2" }, /^redis\.servers .* only a:1 is used$/],
  ["a master's name without sentinels", { sentinel: "m" }, /^redis\.sentinel has no effect with redis_type = single/],
  ["a master's name of a cluster", { redis_type: "cluster", sentinel: "m" }, /^redis\.sentinel has no effect/],
] as const) {
  test(`warns of what has no effect: ${name}`, async () => {
    const warnings = await warningsOf(redis);
    assert.equal(warnings.length, 1, warnings.join("\n"));
    assert.match(warnings[0] ?? "", warning);
  });
}

test("warns of nothing that has an effect", async () => {
  assert.deepEqual(await warningsOf({ database: 5 }), []);
  assert.deepEqual(await warningsOf({ redis_type: "cluster", servers: "a,b" }), []);
  assert.deepEqual(await warningsOf({ redis_type: "sentinel", sentinel: "m", servers: "a,b", database: 1 }), []);
});
