// The plugin's configuration: defaults, what is refused, and how the problem is put.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { parseHocon } from "../../src/hocon/parse.ts";
import { defaultPluginConfig, enabledBackend, parsePluginConfig, pluginConfigKeys } from "../../src/plugin/config.ts";
import { parseServers } from "../../src/plugin/server-list.ts";
import { DEFAULT_TEMPLATES } from "../../src/store/mysql/default-templates.ts";

function messages(value: unknown): string[] {
  const result = parsePluginConfig(value);
  assert.ok("problems" in result, "expected problems");
  return result.problems.map((problem) => problem.message);
}

function config(value: unknown): typeof defaultPluginConfig {
  const result = parsePluginConfig(value);
  assert.ok("config" in result, JSON.stringify(result));
  return result.config;
}

test("nothing given: every default, and no backend", () => {
  assert.deepEqual(config({}), defaultPluginConfig);
  assert.equal(enabledBackend(defaultPluginConfig), undefined);
  const { mysql, redis, sqlite, ...rules } = defaultPluginConfig;
  assert.equal(mysql.server, "127.0.0.1:3306");
  assert.equal(mysql.message_ttl, 0);
  assert.equal(mysql.max_backlog_per_topic, 1_000);
  assert.equal(redis.message_ttl, 7200);
  assert.deepEqual(sqlite, {
    enable: false,
    path: "",
    topics: [],
    message_ttl: 604_800,
    max_messages: 0,
    max_bytes: 0,
    max_messages_per_topic: 0,
    overflow: "reject",
    batch_size: 1024,
    max_page_count: 0,
  });
  assert.deepEqual(rules, {
    delivery: "one_to_one",
    on_store_error: "reject",
    on_unstorable: "close",
    qos0_replay: "remove",
    subscription_ttl: 0,
    store_timeout: 5000,
    publish_ack: "wait",
    engine: {
      mode: "spawn",
      node: "node",
      server: "127.0.0.1:9100",
      secret: "",
      ssl: {
        enable: false,
        server_name_indication: "disable",
        verify: "verify_none",
        cacertfile: "",
        certfile: "",
        keyfile: "",
      },
    },
  });
});

test("the shipped file stores every topic in SQLite and changes no other default", () => {
  const shipped = readFileSync(new URL("../../src/plugin/priv/config.hocon", import.meta.url), "utf8");
  const expected = { ...defaultPluginConfig, sqlite: { ...defaultPluginConfig.sqlite, enable: true, topics: ["#"] } };
  assert.deepEqual(config(parseHocon(shipped).value), expected);
});

test("the block of docs/redis.md is valid, and stores in Redis as the user that the line before it makes", () => {
  const document = readFileSync(new URL("../../docs/redis.md", import.meta.url), "utf8");
  const [, block = ""] = /```hocon\n([\s\S]*?)```/.exec(document) ?? [];
  const read = config(parseHocon(block).value);
  assert.equal(enabledBackend(read), "redis");
  const line = document.indexOf(`ACL SETUSER ${read.redis.username} on >${read.redis.password} `);
  assert.ok(line > 0 && line < document.indexOf(block));
});

test("null is not set", () => {
  const nothing = { sqlite: { path: null, topics: null }, redis: null, mysql: { password: null } };
  assert.deepEqual(config(nothing), defaultPluginConfig);
  assert.equal(config({ mysql: { password: "" } }).mysql.password, "", "an account without a password");
});

test("the default SQL templates are those that the store knows as the defaults", () => {
  const { mysql } = defaultPluginConfig;
  const templates = Object.entries(mysql).filter(([name]) => name.endsWith("_sql"));
  assert.deepEqual(Object.fromEntries(templates), DEFAULT_TEMPLATES);
});

test("a configuration of EMQX with every backend off is valid", () => {
  const { mysql, redis } = structuredClone(defaultPluginConfig);
  assert.deepEqual(config(JSON.parse(JSON.stringify({ mysql, redis }))), defaultPluginConfig);
});

const refused: readonly [name: string, value: unknown, path: string, message: RegExp][] = [
  [
    "a text for a switch",
    { sqlite: { enable: "yes" } },
    "sqlite.enable",
    /sqlite\.enable must be true or false, not "yes"/,
  ],
  ["a negative number", { sqlite: { message_ttl: -1 } }, "sqlite.message_ttl", /whole number of at least 0 \(seconds/],
  ["a fraction", { sqlite: { max_bytes: 1.5 } }, "sqlite.max_bytes", /must be a whole number .*, not 1\.5/],
  ["a number in quotes", { store_timeout: "5000" }, "store_timeout", /from 1 to 600000 \(ms\), not "5000"/],
  ["zero where one is least", { sqlite: { batch_size: 0 } }, "sqlite.batch_size", /from 1 to 65536, not 0/],
  ["a number for a text", { mysql: { username: 12 } }, "mysql.username", /must be text in quotes, not 12/],
  [
    "a number for a password",
    { redis: { password: 123 } },
    "redis.password",
    /^redis\.password must be text in quotes$/,
  ],
  [
    "a number for the engine's secret",
    { engine: { secret: 4711 } },
    "engine.secret",
    /^engine\.secret must be text in quotes, one line without blanks at its ends$/,
  ],
  [
    "a blank behind the engine's secret",
    { engine: { secret: "a secret of sixteen or more " } },
    "engine.secret",
    /^engine\.secret must be text in quotes, one line without blanks at its ends$/,
  ],
  [
    "an engine's secret of two lines",
    { engine: { secret: "a secret of\nsixteen or more" } },
    "engine.secret",
    /^engine\.secret must be text in quotes, one line without blanks at its ends$/,
  ],
  [
    "a switch for another password",
    { redis: { sentinel_password: true } },
    "redis.sentinel_password",
    /^redis\.sentinel_password must be text in quotes$/,
  ],
  ["an unknown choice", { on_store_error: "drop" }, "on_store_error", /must be "reject" or "ignore", not "drop"/],
  ["an object for a value", { delivery: {} }, "delivery", /must be "one_to_one", not an object/],
  ["a value for a section", { sqlite: true }, "sqlite", /sqlite must be an object in braces, not true/],
  ["an array for a section", { redis: [] }, "redis", /must be an object in braces, not an array/],
  ["an array as the whole", [], "", /the configuration must be an object/],
  ["one topic without brackets", { sqlite: { topics: "t/#" } }, "sqlite.topics", /an array of texts .*, not "t\/#"/],
  [
    "a topic that is no text",
    { sqlite: { topics: ["a", 5] } },
    "sqlite.topics.1",
    /item 2: must be text in quotes, not 5/,
  ],
  ["a wrong filter", { sqlite: { topics: ["a", "t/#/x"] } }, "sqlite.topics.1", /sqlite\.topics: item 2: .*"t\/#\/x"/],
  [
    "a shared filter",
    { redis: { topics: ["$share/g/t"] } },
    "redis.topics.0",
    /shared subscription: write the filter alone/,
  ],
  ["an unknown key", { sqlite: { topic: [] } }, "sqlite.topic", /no known key: the nearest one is sqlite\.topics/],
  ["a key like no other", { sqlite: { authentication: [] } }, "sqlite.authentication", /is no known key$/],
  ["an unknown section", { sqllite: {} }, "sqllite", /sqllite is no known key: the nearest one is sqlite$/],
  [
    "a key of a section at the top",
    { message_ttl: 5 },
    "message_ttl",
    /nearest one is (mysql|sqlite|redis)\.message_ttl/,
  ],
  [
    "an unknown key in ssl",
    { mysql: { ssl: { enabled: true } } },
    "mysql.ssl.enabled",
    /nearest one is mysql\.ssl\.enable$/,
  ],
  ["a key of Object's own", { toString: 1 }, "toString", /toString is no known key/],
  [
    "two MySQL servers",
    { mysql: { server: "10.0.0.5, 10.0.0.6:3306" } },
    "mysql.server",
    /mysql\.server must be one server as text such as "10\.0\.0\.5:3306", not "10\.0\.0\.5, 10/,
  ],
  ["an IPv6 address without brackets", { mysql: { server: "::1" } }, "mysql.server", /must be one server as text/],
  [
    "no message of a topic at once",
    { mysql: { max_backlog_per_topic: 0 } },
    "mysql.max_backlog_per_topic",
    /must be a whole number from 1 to 100000, not 0/,
  ],
  [
    "a Redis server without a host",
    { redis: { servers: "10.0.0.5:6379, :6379" } },
    "redis.servers",
    /redis\.servers must be text such as "10\.0\.0\.5:6379", several separated by commas/,
  ],
  [
    "sentinels without a master's name",
    { redis: { enable: true, redis_type: "sentinel" } },
    "redis.sentinel",
    /must be the master's name/,
  ],
  [
    "the same prefix for messages and subscriptions",
    { redis: { enable: true, message_key_prefix: "mqtt", subscription_key_prefix: "mqtt" } },
    "redis.subscription_key_prefix",
    /must differ from redis\.message_key_prefix/,
  ],
  [
    "two backends",
    { mysql: { enable: true }, sqlite: { enable: true } },
    "sqlite.enable",
    /sqlite\.enable: mysql is enabled too, and only one backend can be/,
  ],
];

for (const [name, value, path, message] of refused) {
  test(`refuses ${name}`, () => {
    const result = parsePluginConfig(value);
    assert.ok("problems" in result, "expected a problem");
    assert.equal(result.problems.length, 1, JSON.stringify(result.problems));
    assert.match(result.problems[0]?.message ?? "", message);
    assert.equal(result.problems[0]?.path.join("."), path);
  });
}

test("reads lists of servers", () => {
  assert.deepEqual(parseServers("a-1.b_c, b:1 ,[::1]:2,[fe80::1]", 6379), [
    { host: "a-1.b_c", port: 6379 },
    { host: "b", port: 1 },
    { host: "::1", port: 2 },
    { host: "fe80::1", port: 6379 },
  ]);
  for (const text of [
    "",
    ",",
    "a,",
    "a:0",
    "a:65536",
    "a b:1",
    "::1",
    "redis://a:1",
    "a:1:2",
    "a;1",
    "127.0.0.1;27379",
    "a/0",
  ]) {
    assert.equal(parseServers(text, 6379), undefined, text);
  }
});

test("__proto__ is an unknown key", () => {
  assert.match(messages(JSON.parse('{"__proto__": {"x": 1}}'))[0] ?? "", /__proto__ is no known key/);
});

test("all problems are reported at once", () => {
  const value = { sqlite: { enable: true, topics: ["+x", "#y"], batch_size: "a" }, mysql: { enable: true }, colour: 1 };
  assert.equal(messages(value).length, 5);
});

test("every key is listed with its section", () => {
  for (const key of ["sqlite.max_page_count", "mysql.ssl.verify", "redis.redis_type", "store_timeout", "delivery"]) {
    assert.ok(pluginConfigKeys.includes(key), key);
  }
});
