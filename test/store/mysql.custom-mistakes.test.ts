// SQL templates of the user that the server refuses or that lack something, and custom templates of subscriptions.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Subscription } from "../../src/mqtt/subscription.ts";
import { refusedTemplates } from "../../src/store/mysql/check-templates.ts";
import { DEFAULT_TEMPLATES } from "../../src/store/mysql/default-templates.ts";
import type { TemplateName } from "../../src/store/mysql/template.ts";
import { createDatabase, mariadbSkip, STORE_RIGHTS } from "../support/mariadb.ts";
import { MariadbServer } from "../support/mariadb-server.ts";
import { inReverse } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { startCustom } from "./mysql-custom.ts";
import { behindProxy } from "./mysql-faults.ts";
import { startStore } from "./mysql-stores.ts";
import { payloads, sampleMessage } from "./sample-messages.ts";

const ALL_VALUES = "VALUES (${id}, ${topic}, ${payload})";
const MISTAKES: readonly (readonly [TemplateName, sql: string, message: RegExp])[] = [
  ["insert_message_sql", `INSERT INTO mqtt_msg(nope, topic, payload) ${ALL_VALUES}`, /Unknown column 'nope'/],
  ["insert_message_sql", "INSERT INTO mqtt_msg(msgid, topic) VALUES (${id}, ${topic}, ${payload})", /Column count/],
  ["insert_message_sql", `INSERT INTO mqtt_msg(msgid, msgid, topic) ${ALL_VALUES}`, /specified twice/],
  ["delete_message_sql", "DELETE mqtt_msg WHERE msgid = ${id}", /error in your SQL syntax/],
  ["delete_message_sql", "DELETE FROM mqtt_msg WHERE msgid = CONVERT(${id} USING nope)", /Unknown character set/],
  ["select_message_sql", "SELECT m.*, m.id FROM mqtt_msg AS m WHERE topic = ${topic}", /Duplicate column name 'id'/],
  ["select_message_sql", "SELECT x.* FROM mqtt_msg WHERE topic = ${topic}", /Unknown table '.*x'/],
  ["select_message_sql", "SELECT * FROM mqtt_msg WHERE LEFT(topic) = ${topic}", /SQL syntax|parameter count/],
  ["select_message_sql", "SELECT id, payload FROM mqtt_msg WHERE topic = ${topic}", /no column msgid/],
  ["select_message_sql", "SELECT id, msgid FROM mqtt_msg WHERE topic = ${topic}", /no column payload/],
  ["select_message_sql", "CALL messages(${topic})", /mysql1?\d*|SQL syntax|PROCEDURE/],
  ["select_subscriptions_sql", "SELECT topic AS t, qos FROM mqtt_sub WHERE clientid = ${clientid}", /no column topic/],
  [
    "insert_subscription_sql",
    "INSERT INTO mqtt_sub SET client = ${clientid}, topic = ${topic}",
    /Unknown column 'client'/,
  ],
  ["select_topics_sql", "SELECT topic, topic FROM mqtt_msg", /Duplicate column name 'topic'/],
  ["insert_message_sql", `INSERT INTO inbox(msgid, topic, payload) ${ALL_VALUES}`, /inbox' doesn't exist/],
  ["select_topics_sql", "SELECT topic FROM mqtt_msg JOIN rooms USING (topic)", /rooms' doesn't exist/],
];

describe("custom SQL templates with mistakes, and those of subscriptions", { skip: mariadbSkip("plain") }, () => {
  const scope = inReverse({ after });
  let server: MariadbServer;
  before(async () => {
    server = await MariadbServer.start(scope);
  });

  for (const [name, sql, message] of MISTAKES) {
    test(`${name} ${JSON.stringify(sql)} is a mistake, which is told by its name, at the start and in health`, async (t) => {
      const options = { store: { timeout: 500 }, databaseRights: STORE_RIGHTS };
      const { store, healths } = await startCustom(t, server, "", { [name]: sql }, options);
      const { error } = await store.checkHealth();
      assert.match(error?.message ?? "ok", new RegExp(`^mysql\\.${name} `));
      assert.match(error?.message ?? "ok", message);
      await assert.rejects(store.saveMessage(sampleMessage("t")), { message: error?.message });
      assert.equal(healths.length, 1, "told once");
      const { place } = await createDatabase(server, options);
      const templates = { ...DEFAULT_TEMPLATES, [name]: sql };
      const refused = await refusedTemplates({ ...place, timeout: 10_000, templates });
      assert.deepEqual(
        refused.map(({ template }) => template),
        [name],
      );
    });
  }

  test("a mistake is told when the server comes up later, and heals when the table is altered", async (t) => {
    const setup = await behindProxy(t, await createDatabase(server));
    setup.proxy.silence();
    setup.proxy.cut();
    const select = "SELECT id, msgid, payload, MATCHES FROM mqtt_msg WHERE topic = ${topic}";
    const templates = { ...DEFAULT_TEMPLATES, select_message_sql: select };
    const { store, healths, causes } = await startStore(t, setup.place, { timeout: 500, templates });
    assert.equal(store.health().status, "error");
    assert.doesNotMatch(store.health().error?.message ?? "", /select_message_sql/);
    setup.proxy.resume();
    await waitFor(
      () => /^mysql\.select_message_sql .*Unknown column 'MATCHES'/.test(store.health().error?.message ?? ""),
      {
        what: "the mistake",
      },
    );
    await store.checkHealth();
    await store.checkHealth();
    assert.equal(causes.length, 1, "told once");
    assert.match(causes[0]?.message ?? "", /^mysql\.select_message_sql /);
    await setup.with((client) => client.query("ALTER TABLE mqtt_msg ADD matches INT"));
    await waitFor(() => store.health().status === "ok", { what: "health ok" });
    assert.equal(healths.at(-1)?.status, "ok");
  });

  test("a column that is dropped while the store runs is told of, and all goes on when it is back", async (t) => {
    const insert = `INSERT INTO mqtt_msg(msgid, topic, payload, color, arrived) VALUES (${"${id}, ${topic}, ${payload}"}, 'red', NOW())`;
    const custom = await startCustom(
      t,
      server,
      "ALTER TABLE mqtt_msg ADD color CHAR(9);",
      { insert_message_sql: insert },
      { store: { timeout: 2_000 } },
    );
    await custom.store.saveMessage(sampleMessage("t", "1"));
    await custom.sql("ALTER TABLE mqtt_msg DROP color");
    await assert.rejects(custom.store.saveMessage(sampleMessage("t", "2")), /color/);
    assert.match((await custom.store.checkHealth()).error?.message ?? "ok", /^mysql\.insert_message_sql .*'color'/);
    await custom.sql("ALTER TABLE mqtt_msg ADD color CHAR(9)");
    await waitFor(() => custom.store.health().status === "ok", { what: "health ok" });
    await custom.store.saveMessage(sampleMessage("t", "3"));
    assert.deepEqual(await payloads(custom.store, "t"), ["1", "3"]);
  });

  const sample = (clientId: string, topicFilter: string, qos: 0 | 1 | 2 = 1): Subscription => ({
    clientId,
    topicFilter,
    qos,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
  });

  /** A table of things, of which subscriptions are one kind. `topic` is no filter there. */
  const THINGS = (collation: string) =>
    `CREATE TABLE things (kind CHAR(4), cid VARCHAR(40), filter VARCHAR(90), q INT, topic CHAR(1), PRIMARY KEY (kind, cid, filter)) COLLATE ${collation};` +
    "INSERT INTO things VALUES ('else', 'c', 'T/A', 1, 'x'), ('else', 'c', 't/b', 1, 'x');";
  const THING_TEMPLATES = {
    insert_subscription_sql:
      "INSERT INTO things(kind, cid, filter, q) VALUES ('mqtt', ${clientid}, '${topic}', ${qos}) ON DUPLICATE KEY UPDATE q = VALUES(q)",
    select_subscriptions_sql:
      "SELECT filter AS TOPIC, q AS QoS, cid AS clientid FROM things WHERE kind = 'mqtt' AND cid = ${clientid}",
    delete_subscription_sql: "DELETE FROM things WHERE kind = 'mqtt' AND cid = ${clientid} AND filter = ${topic}",
  } as const;

  for (const [name, collation, collides] of [
    ["that tells case apart", "utf8mb4_nopad_bin", false],
    ["that ignores case", "utf8mb4_general_ci", true],
  ] as const) {
    test(`subscriptions in a table of other things ${name}`, async (t) => {
      const custom = await startCustom(t, server, THINGS(collation), THING_TEMPLATES);
      const { store, sql } = custom;
      const theirs = await sql("SELECT * FROM things");
      await store.saveSubscription(sample("c", "t/a"));
      await store.saveSubscription(sample("c", "t/a", 2));
      await store.saveSubscription(sample("c", "t/b", 0));
      assert.deepEqual(await store.listSubscriptions("c"), [sample("c", "t/a", 2), sample("c", "t/b", 0)]);
      assert.equal(custom.collisions(), 0);
      await store.saveSubscription(sample("c", "T/A", 0));
      await store.saveSubscription(sample("C", "t/a", 0));
      assert.equal(custom.collisions(), collides ? 2 : 0);
      assert.deepEqual(await store.listSubscriptions("C"), collides ? [] : [sample("C", "t/a", 0)]);
      await store.deleteSubscription("c", "T/A");
      await store.deleteSubscription("C", "t/a");
      assert.deepEqual(await store.listSubscriptions("c"), [sample("c", "t/a", 2), sample("c", "t/b", 0)]);
      await store.deleteSubscription("c", "t/a");
      await store.deleteSubscription("c", "t/b");
      assert.deepEqual(await store.listSubscriptions("c"), []);
      assert.deepEqual(await sql("SELECT * FROM things"), theirs);
      await assert.rejects(store.saveSubscription(sample("c", "f".repeat(91))), {
        code: "STORE_INVALID",
        message: /90 characters/,
      });
      await assert.rejects(store.saveSubscription(sample("c".repeat(41), "t")), {
        code: "STORE_TOO_LARGE",
        message: /40 characters/,
      });
    });
  }
});
