// SQL templates of the user: other tables, columns and statements do all that the default ones do, and touch nothing else.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { TemplateName } from "../../src/store/mysql/template.ts";
import { mariadbSkip } from "../support/mariadb.ts";
import { MariadbServer } from "../support/mariadb-server.ts";
import { inReverse } from "../support/temporary-directory.ts";
import {
  type CustomOptions,
  type CustomStore,
  firstValue,
  MYMSG,
  MYMSG_TEMPLATES,
  startCustom,
} from "./mysql-custom.ts";
import {
  comparable,
  keyOf,
  listAll,
  payloads,
  readAll,
  sampleMessage,
  sampleMessages,
  saveAll,
} from "./sample-messages.ts";

type Templates = Partial<Record<TemplateName, string>>;

const SELECT_ALL = MYMSG_TEMPLATES.select_message_sql;
const INSERT_ALL = MYMSG_TEMPLATES.insert_message_sql;
const SELECT_DEFAULT = "SELECT * FROM mqtt_msg WHERE topic = ${topic}";
const SIZES = [1, 2, 7, 100];

/** Saves, reads and removes messages of several topics, exactly and with wildcards. */
async function assertWorks(custom: CustomStore, { wildcards = true, prefix = "" } = {}): Promise<void> {
  const { store } = custom;
  const a = sampleMessages(`${prefix}a/b`, 9);
  const others = ["x", "A/B", "a/b/c", "a"].map((topic) => sampleMessage(`${prefix}${topic}`, `of ${topic}`));
  await saveAll(store, [...a, ...others]);
  assert.equal((await store.checkHealth()).error, undefined);
  for (const size of SIZES) {
    assert.equal((await payloads(store, `${prefix}a/b`, size)).join(""), "012345678");
    if (!wildcards) continue;
    assert.deepEqual(await payloads(store, `${prefix}+/b`, size), [..."012345678"]);
    assert.deepEqual(await payloads(store, `${prefix}a/#`, size), [..."012345678", "of a/b/c", "of a"]);
  }
  await store.deleteMessages(a.slice(0, 4).map(keyOf));
  assert.equal((await payloads(store, `${prefix}a/b`)).join(""), "45678");
  await store.deleteMessages([...a, ...others].map(keyOf));
  assert.deepEqual(await payloads(store, `${prefix}a/b`), []);
  assert.equal((await store.checkHealth()).error, undefined);
}

describe("custom SQL templates", { skip: mariadbSkip("plain") }, () => {
  const scope = inReverse({ after });
  let server: MariadbServer;
  before(async () => {
    server = await MariadbServer.start(scope);
  });

  const working: readonly (readonly [name: string, Templates, tables?: string, options?: CustomOptions])[] = [
    ["other tables and columns", MYMSG_TEMPLATES],
    [
      "placeholders in quotes, comments, constants and a semicolon at the end",
      {
        insert_message_sql:
          "-- a comment with ${topic}\nINSERT INTO mymsg(uid, t, who, q, r, body, at, note) VALUES ('${id}', \"${topic}\", '${from}', '${qos}', ${flags.retain}, '${payload}', NOW(), '50% \\\\ it''s; ?') ;",
        select_message_sql: `/* one */ ${SELECT_ALL.replace("${topic}", "'${topic}'")} AND note LIKE '50\\% %' # the end\n`,
        delete_message_sql: "DELETE FROM mymsg WHERE uid = '${id}' AND note <> '?' -- only ours;",
      },
    ],
    [
      "names in backticks that are keywords or have blanks, and columns in upper case",
      {
        insert_message_sql:
          "INSERT INTO `my table`(`my table`.`MSGID`, `the topic`, `key`, QOS) VALUES (${id}, ${topic}, ${payload}, ${qos})",
        select_message_sql:
          "SELECT `order` AS ID, MsgId AS MSGID, `the topic` AS Topic, QOS, `key` AS PAYLOAD, `order` AS `select` FROM `my table` WHERE `the topic` = ${topic}",
        delete_message_sql: "DELETE FROM `my table` WHERE msgid = ${id}",
      },
      "CREATE TABLE `my table` (`order` INT AUTO_INCREMENT PRIMARY KEY, MsgId VARCHAR(32), `the topic` VARCHAR(99), `key` BLOB, QoS BIT(2), INDEX (`the topic`));",
    ],
    ["very long SQL", { ...MYMSG_TEMPLATES, select_message_sql: `${SELECT_ALL}${" AND 'x' <> 'yyyy'".repeat(4_000)}` }],
    [
      "INSERT … SELECT with columns",
      {
        ...MYMSG_TEMPLATES,
        insert_message_sql: "INSERT INTO mymsg(uid, t, body) SELECT ${id}, ${topic}, ${payload}",
        select_topics_sql: "SELECT DISTINCT t AS topics, 1 FROM mymsg",
      },
    ],
    [
      "INSERT … SET",
      {
        ...MYMSG_TEMPLATES,
        insert_message_sql: "INSERT INTO mymsg SET uid = ${id}, t = ${topic}, body = ${payload}",
        select_topics_sql: "SELECT DISTINCT BINARY t FROM mymsg;",
      },
    ],
    [
      "INSERT … ON DUPLICATE KEY UPDATE with a placeholder",
      { ...MYMSG_TEMPLATES, insert_message_sql: `${INSERT_ALL} ON DUPLICATE KEY UPDATE body = \${payload}` },
    ],
    ["REPLACE INTO", { ...MYMSG_TEMPLATES, insert_message_sql: INSERT_ALL.replace("INSERT", "REPLACE") }],
    ["ORDER BY id DESC", { select_message_sql: `${SELECT_DEFAULT} ORDER BY id DESC` }],
    ["ORDER BY id and LIMIT", { select_message_sql: `${SELECT_DEFAULT} ORDER BY id LIMIT 1000` }],
    ["UNION ALL that gives rows twice", { select_message_sql: `${SELECT_DEFAULT} UNION ALL ${SELECT_DEFAULT}` }],
    ["GROUP BY", { select_message_sql: `${SELECT_DEFAULT} GROUP BY msgid` }],
    [
      "JOIN that gives rows twice",
      { select_message_sql: "SELECT m.*, s.two FROM mqtt_msg m JOIN twice s ON s.one = 1 WHERE m.topic = ${topic}" },
      "CREATE TABLE twice (one INT, two INT); INSERT INTO twice VALUES (1, 1), (1, 2);",
    ],
    [
      "an id that is not the one of the table, with the default removal",
      { select_message_sql: "SELECT id + 1000000 AS id, msgid, topic, payload FROM mqtt_msg WHERE topic = ${topic}" },
    ],
    [
      "an id that is another column of the table",
      {
        ...MYMSG_TEMPLATES,
        insert_message_sql: INSERT_ALL.replace("(uid", "(seq, uid").replace("(${id}", "(NEXTVAL(s), ${id}"),
        select_message_sql: SELECT_ALL.replace("n AS id", "seq AS id"),
      },
      `CREATE SEQUENCE s START WITH 500000;${MYMSG.replace("n BIGINT", "seq BIGINT, n BIGINT")}`,
      { databaseRights: "SELECT, INSERT" },
    ],
    ["WITH", { select_message_sql: `WITH mine AS (${SELECT_DEFAULT}) SELECT * FROM mine` }],
  ];
  for (const [name, templates, tables = MYMSG, options = {}] of working) {
    test(`${name}: saving, pages, wildcards and removing work`, async (t) => {
      const rights = { tableRights: "SELECT, INSERT, UPDATE, DELETE", ...options };
      const custom = await startCustom(t, server, tables, templates, rights);
      await assertWorks(custom);
      assert.deepEqual(
        custom.healths.filter(({ status }) => status === "error"),
        [],
      );
    });
  }

  test("a table in another database", async (t) => {
    await server.with(async (client) => {
      await client.query("CREATE DATABASE elsewhere");
      await client.query(
        "CREATE TABLE elsewhere.t (id INT AUTO_INCREMENT PRIMARY KEY, u CHAR(32), t VARCHAR(99), b BLOB)",
      );
    });
    t.after(() => server.with((client) => client.query("DROP DATABASE elsewhere")));
    const templates = {
      insert_message_sql: "INSERT INTO elsewhere.t(u, t, b) VALUES (${id}, ${topic}, ${payload})",
      select_message_sql: "SELECT id, u AS msgid, t AS topic, b AS payload FROM elsewhere.t WHERE t = ${topic}",
      delete_message_sql: "DELETE FROM `elsewhere`.`t` WHERE u = ${id}",
    };
    const custom = await startCustom(t, server, "", templates);
    assert.match((await custom.store.checkHealth()).error?.message ?? "ok", /right/);
    await custom.sql(`GRANT SELECT, INSERT, DELETE ON elsewhere.t TO ${await userOf(custom)}`);
    await assertWorks(custom);
  });

  test("everything else: lists, totals, purge and expiry; rows that are none of ours stay", async (t) => {
    const custom = await startCustom(t, server, MYMSG, MYMSG_TEMPLATES, { store: { messageTtl: 60 } });
    const { store, sql, warnings } = custom;
    const [ofMessages, ofSubscriptions, ...others] = warnings;
    assert.match(ofMessages ?? "", /^mysql\.insert_message_sql tells of no room for (?!.*migrate)/);
    assert.match(ofSubscriptions ?? "", /table of subscriptions.*migrate/, "that one is EMQX's");
    assert.deepEqual(others, []);
    await sql("INSERT INTO mymsg (uid, t, body, at) VALUES ('theirs', 'a/b', 'x', '2001-01-01')");
    const message = sampleMessage("a/b", "full", { from: "ü", qos: 2, retain: true });
    const old = sampleMessage("a/b", "old", { timestamp: Date.now() - 120_000 });
    const many = sampleMessages("c", 20);
    await saveAll(store, [message, old, ...many]);
    assert.deepEqual(
      (await readAll(store, "a/b")).map((found) => comparable(found.message)),
      [comparable(message)],
    );
    const [listed] = await listAll(store, { topicFilter: "c/#", limit: 5 });
    const { oldest = 0, newest = 0, ...counts } = listed ?? {};
    assert.deepEqual(counts, { topic: "c", messages: 20, bytes: 30 });
    assert.deepEqual([oldest, newest], [many[0]?.timestamp, many.at(-1)?.timestamp]);
    assert.deepEqual(await store.totals(), { messages: 23, bytes: 38 });
    assert.equal(await store.lastMessageId(), many.at(-1)?.id);
    assert.equal(await store.expire(Date.now(), 100), 1);
    assert.equal(await store.expire(Date.now(), 100), 0);
    assert.equal(await store.purge("c", 5), 5);
    assert.equal(await store.purge("+", 100), 15);
    await store.deleteMessages([keyOf(message)]);
    assert.deepEqual(await sql("SELECT uid, note FROM mymsg"), [{ uid: "theirs", note: "ours" }]);
  });

  test("what a template or the server lacks is told at the start", async (t) => {
    const custom = await startCustom(t, server, "", {
      select_message_sql: "SELECT msgid, payload FROM mqtt_msg WHERE topic = ${topic}",
    });
    assert.ok(custom.warnings.some((warning) => /no column id /.test(warning)));
    assert.ok(custom.warnings.some((warning) => /no column qos: .*QoS 0/.test(warning)));
  });

  test("what has no room in it is refused, and to migrate is no advice, since that leaves it alone", async (t) => {
    const { store } = await startCustom(t, server, MYMSG, MYMSG_TEMPLATES);
    const refused = [sampleMessage("x".repeat(181)), sampleMessage("t", "x".repeat(65_536))];
    for (const message of refused) {
      await assert.rejects(store.saveMessage(message), { message: /room for(?!.*migrate)/ });
    }
  });

  test("a text around ${topic} is bound with it, and nothing that a client sends is SQL", async (t) => {
    const custom = await startCustom(t, server, MYMSG, {
      ...MYMSG_TEMPLATES,
      insert_message_sql: "INSERT INTO mymsg(uid, t, body) VALUES (${id}, 'pre/${topic}', ${payload})",
      select_message_sql:
        "SELECT n AS id, uid AS msgid, SUBSTRING(t, 5) AS topic, body AS payload FROM mymsg WHERE t = 'pre/${topic}'",
      select_topics_sql: "SELECT DISTINCT SUBSTRING(t, 5) FROM mymsg",
    });
    await assertWorks(custom);
    const nasty = ["' OR '1'='1", "%", "\\", "a${id}", "'; DROP TABLE mymsg; --", '"', "`", "?"];
    await saveAll(
      custom.store,
      nasty.map((topic) => sampleMessage(topic, topic)),
    );
    for (const topic of nasty) assert.deepEqual(await payloads(custom.store, topic), [topic]);
    assert.deepEqual(await payloads(custom.store, "#"), nasty);
    assert.equal(await firstValue(custom, "SELECT COUNT(*) FROM mymsg WHERE t LIKE 'pre/%'"), nasty.length);
  });

  test("more than 64 topics, whose table is walked through by ids or asked topic by topic", async (t) => {
    const walked = await startCustom(t, server, MYMSG, MYMSG_TEMPLATES);
    const asked = await startCustom(t, server, MYMSG, {
      ...MYMSG_TEMPLATES,
      select_message_sql: SELECT_ALL.replace("n AS id", "n * 10 AS id"),
    });
    for (const { store } of [walked, asked]) {
      const messages = Array.from({ length: 300 }, (_, at) => sampleMessage(`m/${at % 100}`, String(at)));
      await saveAll(store, messages);
      for (const size of [7, 100]) {
        const found = await payloads(store, "m/+", size);
        assert.deepEqual(
          found,
          messages.map((_, at) => String(at)),
        );
      }
    }
  });

  for (const [name, insert] of [
    ["INSERT … SET", "INSERT INTO mymsg SET uid = ${id}, t = ${topic}, body = ${payload}"],
    ["INSERT … SELECT", "INSERT INTO mymsg(uid, t, body) SELECT ${id}, ${topic}, ${payload} FROM DUAL"],
  ] as const) {
    test(`${name}: one transaction for what comes together, and of nine messages the bad one alone is refused`, async (t) => {
      const templates = { ...MYMSG_TEMPLATES, insert_message_sql: insert };
      const { store, sql, warnings } = await startCustom(
        t,
        server,
        MYMSG.replace("body BLOB", "body TINYBLOB"),
        templates,
      );
      assert.match(warnings.join(), /wildcards get nothing/);
      const messages = sampleMessages("t", 9).map((message, at) =>
        at === 4 ? { ...message, payload: Buffer.alloc(300) } : message,
      );
      const outcomes = await Promise.allSettled(messages.map((message) => store.saveMessage(message)));
      const refused = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason.code] : []));
      assert.deepEqual(refused, ["STORE_TOO_LARGE"]);
      assert.equal((await payloads(store, "t")).join(""), "01235678");
      assert.deepEqual(await payloads(store, "#"), [], "wildcards are off");
      assert.equal((await store.checkHealth()).status, "ok");
      assert.equal((await sql("SELECT n FROM mymsg")).length, 8);
    });
  }

  test("INSERT … SELECT without columns and no select_topics_sql: wildcards are off with a warning, exact topics work", async (t) => {
    const templates = {
      insert_message_sql: "INSERT INTO short SELECT NULL, ${id}, ${topic}, ${payload}",
      select_message_sql: "SELECT * FROM short WHERE topic = ${topic}",
      delete_message_sql: "DELETE FROM short WHERE msgid = ${id}",
    };
    const table =
      "CREATE TABLE short (id INT AUTO_INCREMENT PRIMARY KEY, msgid CHAR(32), topic VARCHAR(99), payload BLOB);";
    const custom = await startCustom(t, server, table, templates);
    assert.match(custom.warnings.join(), /wildcards get nothing/);
    await assertWorks(custom, { wildcards: false });
    assert.deepEqual(await listAll(custom.store, { topicFilter: "#", limit: 5 }), []);
    assert.equal(await custom.store.expire(Date.now(), 10), 0);
    assert.equal(await custom.store.lastMessageId(), undefined);
  });

  test("properties and expiry in columns of one's own come back", async (t) => {
    const custom = await startCustom(
      t,
      server,
      MYMSG.replace("at DATETIME(3)", "at DATETIME(3), props JSON, ends BIGINT"),
      {
        ...MYMSG_TEMPLATES,
        insert_message_sql: INSERT_ALL.replace("at)", "at, props, ends)").replace(
          /\)$/,
          ", ${properties}, ${expires_at})",
        ),
        select_message_sql: SELECT_ALL.replace(
          "at AS arrived",
          "at AS arrived, props AS properties, ends AS expires_at",
        ),
      },
    );
    const message = sampleMessage("t", "x", {
      expiresAt: Date.now() + 60_000,
      properties: { contentType: "text/ü", correlationData: Buffer.from([0, 255]), userProperties: [["a", "b"]] },
    });
    const dead = sampleMessage("t", "dead", { expiresAt: Date.now() - 1 });
    await saveAll(custom.store, [message, dead, sampleMessage("t", "plain")]);
    const found = await readAll(custom.store, "t");
    assert.deepEqual(
      found.map(({ message }) => Buffer.from(message.payload).toString()),
      ["x", "plain"],
    );
    assert.deepEqual(comparable(found[0]?.message as typeof message), comparable(message));
    assert.equal(found[1]?.message.expiresAt, undefined);
    assert.equal(await custom.store.expire(Date.now(), 10), 1);
    assert.deepEqual(
      custom.warnings.filter((warning) => /properties|expiry/.test(warning)),
      [],
    );
  });

  test("columns named properties and expires_at that mean something else are left alone", async (t) => {
    const { store, sql } = await startCustom(
      t,
      server,
      "ALTER TABLE mqtt_msg ADD expires_at DATETIME, ADD properties INT;",
      {},
    );
    await saveAll(store, [
      sampleMessage("t", "x", { expiresAt: Date.now() + 60_000, properties: { contentType: "c" } }),
    ]);
    await sql("UPDATE mqtt_msg SET expires_at = NOW(), properties = 7");
    assert.deepEqual(await payloads(store, "t"), ["x"]);
    assert.equal(await store.expire(Date.now(), 10), 0);
  });
});

async function userOf(custom: CustomStore): Promise<string> {
  return `'${String(await firstValue(custom, "SELECT REPLACE(DATABASE(), 'mqtt', 'omp')"))}'@'%'`;
}
