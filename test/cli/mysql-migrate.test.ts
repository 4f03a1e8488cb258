// `omp mysql migrate`: what it shows, what it does to the tables of EMQX's plugin, and what it says where it cannot.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { DEFAULT_TEMPLATES } from "../../src/store/mysql/default-templates.ts";
import { messageTable, subscriptionTable } from "../../src/store/mysql/operations/create-tables.ts";
import { parseTemplate, type TemplateName } from "../../src/store/mysql/template.ts";
import { loadOriginalMysql, messageRows, originalRows, subscriptionRows } from "../store/original-mysql-data.ts";
import {
  createDatabase,
  type DatabaseOptions,
  type MariadbPlace,
  type MariadbSetup,
  mariadbSkip,
  mysqlConfiguration,
  STORE_RIGHTS,
} from "../support/mariadb.ts";
import type { MariadbClient, Row, Value } from "../support/mariadb-client.ts";
import { MariadbServer } from "../support/mariadb-server.ts";
import { PLUGIN_CONFIG_FILE, runOmp } from "../support/omp.ts";
import { inReverse, type Scope, temporaryDirectory } from "../support/temporary-directory.ts";

const MIGRATION_RIGHTS = `${STORE_RIGHTS}, ALTER, INDEX, CREATE`;
const OWN_SCHEMA = `${messageTable("utf8mb4_nopad_bin")};\n${subscriptionTable("utf8mb4_nopad_bin")};`;
const SHAPE = `SELECT TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, COLUMN_DEFAULT, IS_NULLABLE, COLUMN_TYPE, COLLATION_NAME, EXTRA
  FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1, 3`;
const INDEXES = `SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, SEQ_IN_INDEX, SUB_PART, NON_UNIQUE
  FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1, 2, 4`;
const STORAGE = `SELECT TABLE_NAME, ENGINE, ROW_FORMAT, TABLE_COLLATION FROM information_schema.TABLES
  WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1`;

/** All that the server says of the tables. */
function shapeOf({ with: withClient }: MariadbSetup): Promise<Row[][]> {
  return withClient(async (client) => [
    await client.query(SHAPE),
    await client.query(INDEXES),
    await client.query(STORAGE),
  ]);
}

/** Runs `omp mysql migrate` for this place. */
async function migrate(scope: Scope, place: MariadbPlace, { args = [] as string[], rest = "" } = {}) {
  const file = join(temporaryDirectory(scope), "given.hocon");
  writeFileSync(file, mysqlConfiguration(place, rest).replace("enable = true", "enable = false"));
  const result = await runOmp(["mysql", "migrate", "--plugin-config", file, ...args]);
  return { ...result, stderr: result.stderr.replaceAll(file, "FILE") };
}

/** Runs a template as EMQX's plugin does. */
function runTemplate(
  client: MariadbClient,
  name: TemplateName,
  values: Readonly<Record<string, Value>>,
): Promise<Row[]> {
  const { sql, parameters } = parseTemplate(name, DEFAULT_TEMPLATES[name]);
  return client.query(
    sql,
    parameters.map((placeholder) => values[placeholder] ?? null),
  );
}

describe("omp mysql migrate", { skip: mariadbSkip("plain") }, () => {
  const scope = inReverse({ after });
  let server: MariadbServer;
  before(async () => {
    server = await MariadbServer.start(scope);
  });
  const database = (options: DatabaseOptions = {}) =>
    createDatabase(server, { tableRights: MIGRATION_RIGHTS, ...options });

  test("--dry-run shows each statement and why, and changes nothing", async (t) => {
    const setup = await database();
    const shape = await shapeOf(setup);
    const { code, stdout, stderr } = await migrate(t, setup.place, { args: ["--dry-run"] });
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.match(stdout, /^MySQL at 127\.0\.0\.1:\d+, database mqtt\d+:$/m);
    assert.match(stdout, /^mqtt_msg, about 0 rows, so that$/m);
    assert.match(stdout, /^ {2}- topic tells texts apart that differ in case, .*, and takes 768 characters$/m);
    assert.match(stdout, /^ {2}- payload takes payloads of up to 4 GB$/m);
    assert.match(stdout, /^ {2}- msgid_index finds messages by their ids$/m);
    assert.match(stdout, /^ {2}ALTER TABLE mqtt_msg$/m);
    assert.match(stdout, /^ {4}MODIFY COLUMN topic varchar\(768\) CHARACTER SET utf8mb4 COLLATE \S+ NOT NULL,$/m);
    assert.match(stdout, /^ {2}ALTER TABLE mqtt_sub$/m);
    assert.match(stdout, /^Nothing was changed, since this was a dry run\.$/m);
    assert.deepEqual(await shapeOf(setup), shape);
  });

  test("the tables become those of init_default_schema with every row and id; a second run finds nothing to do", async (t) => {
    const setup = await database();
    const alike = ["t/case", "t/CASE", "t/cäse", "t/case ", "t/😀"];
    await setup.with(async (client) => {
      await loadOriginalMysql(client);
      for (const topic of alike) {
        const sql = "INSERT INTO mqtt_msg (msgid, topic, payload, arrived) VALUES ('A', ?, ?, '2026-01-02 03:04:05')";
        await client.query(sql, [topic, topic]);
      }
    });
    const messages = await setup.with(messageRows);
    const subscriptions = await setup.with(subscriptionRows);
    const { code, stdout, stderr } = await migrate(t, setup.place);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.match(stdout, /^mqtt_msg is done, after \d+\.\d s\.$/m);
    assert.match(stdout, /^mqtt_sub is done, after \d+\.\d s\.$/m);
    assert.match(stdout, /^A broker that runs .* start it anew\.$/m);
    const milliseconds = ({ arrived, ...row }: (typeof messages)[number]) => ({ ...row, arrived: `${arrived}.000` });
    assert.deepEqual(await setup.with(messageRows), messages.map(milliseconds));
    assert.equal(messages.length, originalRows.length + alike.length);
    const sorted = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).sort();
    assert.deepEqual(sorted(await setup.with(subscriptionRows)), sorted(subscriptions));
    for (const topic of alike) {
      const found = await setup.with((client) => client.query("SELECT topic FROM mqtt_msg WHERE topic = ?", [topic]));
      assert.deepEqual(found, [{ topic }]);
    }
    assert.deepEqual(await shapeOf(setup), await shapeOf(await database({ schema: OWN_SCHEMA })));

    const again = await migrate(t, setup.place);
    assert.equal(again.code, 0);
    for (const table of ["mqtt_msg", "mqtt_sub"]) {
      assert.ok(again.stdout.includes(`\n${table} is up to date: there is nothing to do.\n`), again.stdout);
    }
  });

  test("EMQX's plugin can still use the tables, and keys that collided do not", async (t) => {
    const setup = await database();
    assert.equal((await migrate(t, setup.place)).code, 0);
    await setup.with(async (client) => {
      const message = { id: "0006", from: "c", topic: "t/A", qos: 1, "flags.retain": 0, payload: "p" };
      await runTemplate(client, "insert_message_sql", { ...message, timestamp: 1_767_323_045_500 });
      const [row] = await runTemplate(client, "select_message_sql", { topic: "t/A" });
      assert.equal(row?.arrived, "2026-01-02 03:04:05.500");
      assert.deepEqual(await runTemplate(client, "select_message_sql", { topic: "t/a" }), []);
      await runTemplate(client, "delete_message_sql", { id: "0006" });
      assert.deepEqual(await messageRows(client), []);
      for (const [clientid, topic] of [
        ["c1", "t/a"],
        ["C1", "t/a"],
        ["c1", "t/A"],
      ] as const) {
        for (const qos of [1, 2]) await runTemplate(client, "insert_subscription_sql", { clientid, topic, qos });
      }
      const filters = await runTemplate(client, "select_subscriptions_sql", { clientid: "c1" });
      assert.deepEqual(filters, [
        { topic: "t/A", qos: 2 },
        { topic: "t/a", qos: 2 },
      ]);
    });
  });

  test("what is wider or otherwise the user's stays, and the key of mqtt_sub never gets too long", async (t) => {
    const schema = `
      CREATE TABLE mqtt_msg (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, msgid char(40), topic varchar(700) NOT NULL,
        sender varchar(300) NOT NULL DEFAULT 'it''s' COMMENT 'who\\\\''s', qos tinyint NOT NULL, retain tinyint, payload mediumblob NOT NULL,
        arrived datetime(6) NOT NULL DEFAULT current_timestamp(6), mine int, INDEX topic_index (topic(100)))
        ENGINE=InnoDB ROW_FORMAT=COMPACT CHARACTER SET latin1;
      CREATE TABLE mqtt_sub (clientid varchar(64), topic varchar(700), qos tinyint, PRIMARY KEY (clientid, topic)) ENGINE=MyISAM CHARACTER SET latin1;
      INSERT INTO mqtt_msg (topic, qos, payload, mine) VALUES ('t/\u00fc', 1, x'00ff', 5)`.replace(
      "varchar(900)",
      "varchar(700)",
    );
    const setup = await database({ schema });
    const { code, stderr } = await migrate(t, setup.place);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    const [columns = [], indexes = [], storage = []] = await shapeOf(setup);
    const types = Object.fromEntries(
      columns.map(({ TABLE_NAME, COLUMN_NAME, COLUMN_TYPE }) => [`${TABLE_NAME}.${COLUMN_NAME}`, COLUMN_TYPE]),
    );
    assert.equal(types["mqtt_msg.msgid"], "varchar(64)");
    assert.equal(types["mqtt_msg.sender"], "varchar(300)");
    assert.equal(types["mqtt_msg.payload"], "longblob");
    assert.equal(types["mqtt_msg.arrived"], "datetime(6)");
    assert.deepEqual([types["mqtt_sub.clientid"], types["mqtt_sub.topic"]], ["varchar(68)", "varchar(700)"]);
    const [topicIndex] = indexes.filter(({ INDEX_NAME }) => INDEX_NAME === "topic_index");
    assert.equal(topicIndex?.SUB_PART, null);
    for (const { ENGINE, ROW_FORMAT } of storage) assert.deepEqual([ENGINE, ROW_FORMAT], ["InnoDB", "Dynamic"]);
    const rows = await setup.with((client) =>
      client.query("SELECT topic, sender, HEX(payload) AS payload, mine FROM mqtt_msg"),
    );
    assert.deepEqual(rows, [{ topic: "t/ü", sender: "it's", payload: "00FF", mine: 5 }]);
    const [comment] = await setup.with((client) =>
      client.query(
        "SELECT COLUMN_COMMENT c FROM information_schema.COLUMNS WHERE COLUMN_NAME = 'sender' AND COLUMN_COMMENT <> ''",
      ),
    );
    assert.equal(comment?.c, "who\\'s");
    assert.match((await migrate(t, setup.place)).stdout, /mqtt_msg is up to date[\s\S]*mqtt_sub is up to date/);
  });

  test("without the right to change tables it says which grant is missing, and leaves them as they are", async (t) => {
    const setup = await createDatabase(server);
    const shape = await shapeOf(setup);
    const { code, stderr } = await migrate(t, setup.place);
    assert.equal(code, 1);
    const { database, username } = setup.place;
    assert.match(stderr, /^omp: mqtt_msg is as it was: the MySQL user lacks a right \(.*command denied/);
    const grant = `GRANT ALTER, INDEX, CREATE, INSERT ON \`${database}\`.mqtt_msg TO '${username}'@'%', or use another account.\n`;
    assert.ok(stderr.endsWith(grant), stderr);
    assert.deepEqual(await shapeOf(setup), shape);
  });

  test("other tables are left to the user", async (t) => {
    const { place } = await database();
    const messages = 'insert_message_sql = "insert into `my_msg` (a, b, c) values(${id}, ${topic}, ${payload})"';
    const subscriptions = 'insert_subscription_sql = "insert into my_sub values(${clientid}, ${topic})"';
    const one = await migrate(t, place, { args: ["--dry-run"], rest: messages });
    assert.equal(one.code, 0, one.stderr);
    assert.match(
      one.stdout,
      /^mysql\.insert_message_sql writes to `my_msg`, and this command only knows mqtt_msg and/m,
    );
    assert.doesNotMatch(one.stdout, /ALTER TABLE mqtt_msg/);
    assert.match(one.stdout, /ALTER TABLE mqtt_sub/);
    const both = await migrate(t, place, { rest: `${messages}\n${subscriptions}` });
    assert.equal(both.code, 2);
    assert.match(
      both.stderr,
      /^omp: FILE:8: mysql\.insert_message_sql writes to .*\nomp: FILE:9: mysql\.insert_sub.*\n$/,
    );
  });

  test("tables that are missing, that are none of EMQX's, and a server that is away are told", async (t) => {
    const missing = await createDatabase(server, { schema: "", tableRights: "", databaseRights: STORE_RIGHTS });
    const none = await migrate(t, missing.place);
    assert.equal(none.code, 0);
    assert.match(
      none.stdout,
      /^mqtt_msg is not there, or may not be seen: mysql\.init_default_schema = true creates it\.$/m,
    );
    const foreign = await database({ schema: "CREATE TABLE mqtt_msg (id int, topic text)" });
    const { code, stderr } = await migrate(t, foreign.place);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^omp: mqtt_msg has no column msgid, sender, .*: it is not the table of EMQX's plugin, and is left/,
    );
    const away = await migrate(t, { ...foreign.place, port: 1 });
    assert.equal(away.code, 1);
    assert.match(away.stderr, /^omp: MySQL at 127\.0\.0\.1:1 cannot be reached \(.*\n$/);
  });
});

test("the configuration is that of the data directory, or the file named; mistakes are one line", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  const file = join(dataDirectory, PLUGIN_CONFIG_FILE);
  const run = (...args: string[]) => runOmp(["mysql", ...args]);
  for (const [args, line] of [
    [["--help"], undefined],
    [["migrate", "--help"], undefined],
    [["migrte"], /^omp: unknown command migrte \(omp mysql --help lists all\)\n$/],
    [["migrate", "--dry-rum"], /^omp: unknown option --dry-rum: did you mean --dry-run\? /],
    [["migrate", "--data-dir", "a", "--plugin-config", "b"], /^omp: --plugin-config and --data-dir exclude each other/],
    [["migrate", "--data-dir", dataDirectory], /^omp: \S+config\.hocon: cannot be read: no such file or directory\n$/],
  ] as const) {
    const { code, stdout, stderr } = await run(...args);
    assert.equal(code, line === undefined ? 0 : 2, stderr);
    if (line === undefined) assert.match(stdout, /^Usage: omp mysql migrate/m);
    else assert.match(stderr, line);
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "sqlite.enable = true");
  const without = await run("migrate", "--data-dir", dataDirectory);
  assert.equal(without.code, 2);
  assert.match(without.stderr, /^omp: \S+config\.hocon:1: there is no section mysql, /);
});
