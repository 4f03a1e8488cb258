// Configuration files of `omp broker`: wrong ones get lines with file and line number; the plugin's is seeded once.

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { SHIPPED_PLUGIN_CONFIG } from "../../src/cli/built-in-plugin.ts";
import { PLUGIN_CONFIG_FILE, runOmp, startBroker, storeFile, withoutSuperuser } from "../support/omp.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const wrong: readonly [name: string, option: "--config" | "--plugin-config", text: string, lines: readonly RegExp[]][] =
  [
    ["a syntax error", "--config", "mqtt {\n  max_inflight = 5\n", [/^:1: this \{ is never closed.* \(column 6\)$/]],
    [
      "a wrong value",
      "--config",
      "mqtt {\n  max_inflight = many\n}\n",
      [/^:2: mqtt\.max_inflight must be a whole number from 1 to 65535, not "many"$/],
    ],
    [
      "a size that is none",
      "--config",
      'mqtt.max_packet_size = "1 MiB"',
      [/^:1: mqtt\.max_packet_size must be a size in bytes, or with a unit such as "1MB"/],
    ],
    [
      "a size out of range",
      "--config",
      "mqtt.max_packet_size = 1GB",
      [/^:1: mqtt\.max_packet_size must be .* from 64 to 268435460, not "1GB"$/],
    ],
    [
      "a duration without a unit",
      "--config",
      "mqtt { session_expiry_interval = 7200 }",
      [
        /^:1: mqtt\.session_expiry_interval must be a duration from 0s to 4294967295s, with a unit, such as "2h", not 7200$/,
      ],
    ],
    [
      "a short duration without a unit",
      "--config",
      "mqtt.idle_timeout = 15",
      [/^:1: mqtt\.idle_timeout must be a duration from 10ms to 24h, with a unit, such as "15s", not 15$/],
    ],
    [
      "a bind address without a port",
      "--config",
      '\nlisteners.tcp.default.bind = "127.0.0.1"',
      [/^:2: listeners\.tcp\.default\.bind must be an address and a port/],
    ],
    [
      "a bind address that others can reach",
      "--config",
      '\n\nlisteners.tcp.default.bind = "0.0.0.0:0"',
      [/^:3: listeners\.tcp\.default\.bind: 0\.0\.0\.0 can be reached by others/],
    ],
    [
      "a bind address of another machine",
      "--config",
      'listeners.tcp.default.bind = "192.0.2.1:0"',
      [/^:1: listeners\.tcp\.default\.bind: 192\.0\.2\.1 is no address of this machine/],
    ],
    [
      "an HTTP API over TLS without a certificate",
      "--config",
      'dashboard.listeners.https.bind = "127.0.0.1:0"',
      [
        /^:1: dashboard\.listeners\.https\.bind is set, and ssl_options\.certfile is missing/,
        /^:1: dashboard\.listeners\.https\.bind is set, and ssl_options\.keyfile is missing/,
      ],
    ],
    [
      "a file of the HTTP API's that is not there",
      "--config",
      'dashboard.listeners.https {\nbind = "127.0.0.1:0"\nssl_options {\ncertfile = "no.pem"\nkeyfile = "no.key"\n}\n}',
      [/^:4: dashboard\.listeners\.https\.ssl_options\.certfile: /],
    ],
    [
      "pages of everybody",
      "--config",
      "dashboard.cors = true",
      [/^:1: dashboard\.cors must be false, or origins with commas between them/],
    ],
    [
      "a lock without an end",
      "--config",
      "dashboard.unsuccessful_login_lock_duration = 0",
      [/^:1: dashboard\.unsuccessful_login_lock_duration must be a duration from 1s to 24h/],
    ],
    [
      "an HTTP API without an address",
      "--config",
      "dashboard.listeners.http.bind = 18083",
      [
        /^:1: dashboard\.listeners\.http\.bind must be an address and a port such as "127\.0\.0\.1:18083", or 0 for none, not/,
      ],
    ],
    [
      "limits that contradict",
      "--config",
      "mqtt.max_write_buffer = 2MB\nmqtt.max_write_backlog = 1MB",
      [/^:2: mqtt\.max_write_backlog must not be lower/],
    ],
    [
      "an unknown key",
      "--config",
      "mqtt {\n\n  max_inflght = 5\n}",
      [/^:3: mqtt\.max_inflght is no known key: the nearest one is mqtt\.max_inflight$/],
    ],
    [
      "several mistakes, in the file's order",
      "--config",
      'log.level = "loud"\nallow_anonymous = 1\n',
      [
        /^:1: log\.level must be "info" or "debug" or "warn" or "error", not "loud"$/,
        /^:2: allow_anonymous must be true or false, not 1$/,
      ],
    ],
    [
      "the plugin's wrong value",
      "--plugin-config",
      "sqlite {\n  enable = true\n  message_ttl = -1\n}",
      [/^:3: sqlite\.message_ttl must be a whole number of at least 0/],
    ],
    [
      "a wrong topic filter among good ones",
      "--plugin-config",
      'sqlite {\n  topics = [\n    "a/#"\n    "b/#/c"\n  ]\n}',
      [/^:4: sqlite\.topics: item 2: /],
    ],
    [
      "two backends",
      "--plugin-config",
      "mysql.enable = true\nsqlite.enable = true\n",
      [/^:2: sqlite\.enable: mysql is enabled too, and only one backend can be/],
    ],
    [
      "SQL templates with an unknown placeholder, without one that they need, and with two statements",
      "--plugin-config",
      [
        "mysql {",
        "  enable = true",
        '  insert_message_sql = "insert into m values(${id}, ${topic}, ${payload}, ${colour})"',
        '  delete_message_sql = "delete from m"',
        '  select_topics_sql = "select topic from m; drop table m"',
        "}",
      ].join("\n"),
      [
        /^:3: mysql\.insert_message_sql has the unknown placeholder \$\{colour\}: it may have \$\{id\}, /,
        /^:4: mysql\.delete_message_sql lacks \$\{id\}: put it where the statement needs the value$/,
        /^:5: mysql\.select_topics_sql has more than one statement: /,
      ],
    ],
  ];

for (const [name, option, text, expected] of wrong) {
  test(`refuses ${name}`, async (t) => {
    const directory = temporaryDirectory(t);
    const file = join(directory, "given.hocon");
    writeFileSync(file, text);
    const args = ["broker", "--data-dir", join(directory, "data"), "--port", "0", option, file];
    const { code, stdout, stderr } = await runOmp(args);
    assert.equal(code, 2, stderr);
    assert.equal(stdout, "");
    const lines = stderr.trimEnd().split("\n");
    assert.equal(lines.length, expected.length, stderr);
    for (const [index, line] of lines.entries()) {
      assert.ok(line.startsWith(`omp: ${file}:`), line);
      assert.match(line.slice(`omp: ${file}`.length), expected[index] ?? /^$/);
    }
    assert.deepEqual(readdirSync(directory), ["given.hocon"], "a wrong file leaves nothing behind");
  });
}

test("refuses a file that is no text, one that is too large, and a directory", async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "given.hocon");
  writeFileSync(file, Buffer.from([0x61, 0x3d, 0xff, 0xfe]));
  assert.match((await runOmp(["broker", "--config", file])).stderr, /^omp: \S+: is not text in UTF-8/);
  writeFileSync(file, "#".repeat(1024 * 1024 + 1));
  assert.match((await runOmp(["broker", "--config", file])).stderr, /^omp: \S+: is larger than 1048576 bytes/);
  const { code, stderr } = await runOmp(["broker", "--config", directory]);
  assert.equal(code, 2);
  assert.match(stderr, /^omp: \S+: cannot be read: it is a directory\n$/);
});

test("a wrong file in the data directory stops the start as well", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  writeFileSync(join(dataDirectory, "omp.hocon"), "\nmqtt = 5\n");
  const { code, stderr } = await runOmp(["broker", "--data-dir", dataDirectory, "--port", "0"]);
  assert.equal(code, 2);
  assert.equal(stderr, `omp: ${join(dataDirectory, "omp.hocon")}:2: mqtt must be an object in braces, not 5\n`);
});

test("the shipped configuration is put into the data directory at the first start, for its owner only", async (t) => {
  const dataDirectory = join(temporaryDirectory(t), "deep", "data");
  const broker = await startBroker(t, { dataDirectory });
  const seeded = join(dataDirectory, PLUGIN_CONFIG_FILE);
  assert.equal(readFileSync(seeded, "utf8"), readFileSync(SHIPPED_PLUGIN_CONFIG, "utf8"));
  assert.equal(statSync(seeded).mode & 0o777, 0o600);
  assert.equal(statSync(dataDirectory).mode & 0o777, 0o700);
  assert.deepEqual(
    readdirSync(dirname(seeded)).filter((name) => name.endsWith(".tmp")),
    [],
  );
  assert.ok(statSync(storeFile(dataDirectory)).size > 0);
  assert.match(broker.child.stdout, /QoS 1 and 2 of #, each message for up to 7 days/);
  assert.equal((await broker.stop()).code, 0);
});

test("--plugin-config seeds once; afterwards the file in the data directory counts, and a line says so", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  const given = join(dataDirectory, "given.hocon");
  const text = '# mine\nsqlite { enable = true, path = "own.db", topics = ["a/#", "b"], message_ttl = 0 }\n';
  writeFileSync(given, text);
  const first = await startBroker(t, { dataDirectory, args: ["--plugin-config", given] });
  assert.match(first.child.stdout, /QoS 1 and 2 of a\/#, b, each message until it is fetched/);
  assert.equal(readFileSync(join(dataDirectory, PLUGIN_CONFIG_FILE), "utf8"), text);
  assert.ok(statSync(join(dataDirectory, dirname(PLUGIN_CONFIG_FILE), "own.db")).size > 0);
  assert.doesNotMatch((await first.stop()).stderr, /not used/);

  writeFileSync(given, text.replace("b", "c"));
  const second = await startBroker(t, { dataDirectory, args: ["--plugin-config", given] });
  await second.child.output(/warn .*--plugin-config \S+ is not used: \S+config\.hocon is there already and counts/);
  assert.match(second.child.stdout, /QoS 1 and 2 of a\/#, b,/);
  assert.equal((await second.stop()).code, 0);
});

test("where seeding is impossible the broker starts with the shipped configuration and a warning", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  // A file in the way keeps root out too.
  writeFileSync(join(dataDirectory, "plugins"), "");
  const broker = await startBroker(t, { dataDirectory });
  await broker.child.output(
    /warn .*cannot write \S+config\.hocon .*the plugin runs with the configuration that it came with this time/,
  );
  assert.match(broker.child.stdout, /QoS 1 and 2 of #/);
  assert.equal((await broker.stop()).code, 0);
});

test("a data directory without the right to write has no room for sessions: the broker does not start and says so", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  chmodSync(dataDirectory, 0o555);
  const args = ["broker", "--data-dir", dataDirectory, "--port", "0", "--ws-port", "0"];
  const { code, stdout, stderr } = await runOmp(args, { prefix: withoutSuperuser(), cwd: "/" });
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /broker\.db cannot be opened, since it cannot be made .*durable_sessions\.enable = false/);
});

test("without durable sessions it starts, and the log says that the store is away", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  writeFileSync(join(dataDirectory, "omp.hocon"), "durable_sessions.enable = false");
  chmodSync(dataDirectory, 0o555);
  const broker = await startBroker(t, { dataDirectory, prefix: withoutSuperuser(), cwd: "/" });
  await broker.child.output(/warn .*cannot lock .*omp\.lock \(permission denied\): see to it that no other broker/);
  await broker.child.output(/warn .*cannot write .*permission denied/);
  await broker.child.output(/error the store is away/);
  assert.equal((await broker.stop()).code, 0);
});

test("without durable sessions a database of before is put aside, and does not come back", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  await (await startBroker(t, { dataDirectory })).stop();
  assert.ok(existsSync(join(dataDirectory, "broker.db")));
  writeFileSync(join(dataDirectory, "omp.hocon"), "durable_sessions.enable = false");
  const without = await startBroker(t, { dataDirectory });
  await without.child.output(/warn .*put aside in .*broker\.db\.old/);
  await without.stop();
  assert.ok(!existsSync(join(dataDirectory, "broker.db")));
  assert.ok(existsSync(join(dataDirectory, "broker.db.old")));
});

test("no backend enabled: the plugin is idle and the broker says so", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  mkdirSync(dirname(join(dataDirectory, PLUGIN_CONFIG_FILE)), { recursive: true });
  writeFileSync(join(dataDirectory, PLUGIN_CONFIG_FILE), "");
  const broker = await startBroker(t, { dataDirectory });
  assert.match(broker.child.stdout, /stores {2}nothing: no backend is enabled in \S+config\.hocon/);
  assert.equal((await broker.stop()).code, 0);
});

test("options count before the file", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  writeFileSync(
    join(dataDirectory, "omp.hocon"),
    'listeners.tcp.default.bind = "127.0.0.1:1"\nlog { level = debug, format = text }\n',
  );
  const broker = await startBroker(t, { dataDirectory, args: ["--log-format", "json"] });
  assert.notEqual(broker.address.port, 1);
  const { code, stderr } = await broker.stop();
  assert.equal(code, 0);
  for (const line of stderr.trimEnd().split("\n")) assert.equal(typeof JSON.parse(line).msg, "string");
});
