// SQL templates of the user that hide or mark rows, or give less than the default ones: what is read, removed and warned of then.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DEFAULT_TEMPLATES } from "../../src/store/mysql/default-templates.ts";
import { createDatabase, mariadbSkip } from "../support/mariadb.ts";
import { MariadbServer } from "../support/mariadb-server.ts";
import { inReverse } from "../support/temporary-directory.ts";
import { within } from "../support/wait-for.ts";
import { firstValue, MYMSG, MYMSG_TEMPLATES, startCustom } from "./mysql-custom.ts";
import { behindProxy, HANGS } from "./mysql-faults.ts";
import { startStore } from "./mysql-stores.ts";
import { ORIGINAL_SCHEMA } from "./original/schema.ts";
import { keyOf, listAll, payloads, readAll, sampleMessage, sampleMessages, saveAll } from "./sample-messages.ts";

const SOFT = "ALTER TABLE mqtt_msg ADD gone TINYINT NOT NULL DEFAULT 0;";
const SOFT_TEMPLATES = {
  delete_message_sql: "UPDATE mqtt_msg SET gone = 1 WHERE msgid = ${id}",
  select_message_sql: "SELECT * FROM mqtt_msg WHERE topic = ${topic} AND gone = 0",
} as const;

describe("custom SQL templates that hide rows or give less", { skip: mariadbSkip("plain") }, () => {
  const scope = inReverse({ after });
  let server: MariadbServer;
  before(async () => {
    server = await MariadbServer.start(scope);
  });

  test("a removal that marks rows: each message comes once, rows stay, and no right to DELETE is needed", async (t) => {
    const tableRights = "SELECT, INSERT, UPDATE";
    const templates = {
      ...SOFT_TEMPLATES,
      delete_subscription_sql: "UPDATE mqtt_sub SET qos = -1 WHERE clientid = ${clientid} AND topic = ${topic}",
    };
    const custom = await startCustom(t, server, SOFT, templates, { tableRights });
    const { store } = custom;
    // So many topics that the table is walked through by its ids.
    const messages = Array.from({ length: 200 }, (_, at) => sampleMessage(`t/${at % 100}`, String(at)));
    await saveAll(store, messages);
    assert.equal((await payloads(store, "t/#")).length, 200);
    await store.deleteMessages(messages.slice(0, 150).map(keyOf));
    assert.deepEqual(await payloads(store, "t/0"), []);
    for (const size of [3, 100])
      assert.equal((await payloads(store, "t/+", size)).join(), [...Array(50).keys()].map((at) => at + 150).join());
    assert.equal(await store.purge("t/#", 1_000), 50);
    assert.deepEqual(await payloads(store, "#"), []);
    assert.equal(await firstValue(custom, "SELECT COUNT(*) FROM mqtt_msg WHERE gone = 1"), 200);
    assert.equal((await store.checkHealth()).error, undefined);
    assert.deepEqual(
      custom.healths.filter(({ status }) => status === "error"),
      [],
    );
  });

  test("rows that the select template hides are neither counted nor found", async (t) => {
    for (const topics of [undefined, "SELECT DISTINCT topic FROM mqtt_msg WHERE gone = 0"]) {
      const templates = { ...SOFT_TEMPLATES, ...(topics === undefined ? undefined : { select_topics_sql: topics }) };
      const { store } = await startCustom(t, server, SOFT, templates);
      const messages = Array.from({ length: 1_200 }, (_, at) => sampleMessage(`t/${at % 600}`, "xy"));
      await saveAll(store, messages);
      const [hidden] = messages.splice(0, 1) as [(typeof messages)[0]];
      await store.deleteMessages([hidden, ...messages.splice(0, 99)].map(keyOf));
      const listed = await listAll(store, { topicFilter: "t/+", limit: 100 });
      assert.equal(listed.length, 600);
      assert.equal(
        listed.reduce((sum, summary) => sum + summary.messages, 0),
        1_100,
      );
      const summary = listed.find(({ topic }) => topic === hidden.topic);
      assert.deepEqual([summary?.messages, summary?.bytes], [1, 2]);
      assert.equal(await store.readMessage(hidden.id, hidden.topic), undefined);
    }
  });

  test("a message is found by its id alone where there is an index, or its row is remembered", async (t) => {
    const other = await startCustom(t, server, "", {});
    const message = sampleMessage("t/1", "one");
    await other.store.saveMessage(message);
    assert.equal((await other.store.readMessage(message.id))?.topic, "t/1");
    const unknown = sampleMessage("t/2");
    await other.sql(
      `INSERT INTO mqtt_msg (msgid, topic, qos, payload, arrived) VALUES ('${unknown.id}', 't/2', 1, 'x', NOW())`,
    );
    await assert.rejects(other.store.readMessage(unknown.id), { code: "STORE_TOPIC_NEEDED", temporary: false });
    assert.equal((await other.store.readMessage(unknown.id, "t/2"))?.topic, "t/2");
    const { store: indexed, sql } = await startCustom(t, server, "CREATE INDEX by_id ON mqtt_msg (msgid);", {});
    await sql(
      `INSERT INTO mqtt_msg (msgid, topic, qos, payload, arrived) VALUES ('${unknown.id}', 't/2', 1, 'x', NOW())`,
    );
    assert.equal((await indexed.readMessage(unknown.id))?.topic, "t/2");
    assert.equal(await indexed.readMessage(sampleMessage("t/2").id), undefined);
  });

  test("expired messages that are only marked are removed once, and do not hold up those behind them", async (t) => {
    const custom = await startCustom(t, server, SOFT, SOFT_TEMPLATES, { store: { messageTtl: 60 } });
    const timestamp = Date.now() - 120_000;
    await custom.sql(
      "INSERT INTO mqtt_msg (msgid, topic, arrived, gone) SELECT LPAD(HEX(seq), 32, '0'), 'g', '2001-01-01', 1 FROM seq_1_to_2500",
    );
    await saveAll(
      custom.store,
      sampleMessages("t", 20).map((message) => ({ ...message, timestamp })),
    );
    let removed = 0;
    for (let calls = 0; calls < 3; calls++) removed += await custom.store.expire(Date.now(), 15);
    assert.equal(removed, 20);
    for (let calls = 0; calls < 3; calls++) assert.equal(await custom.store.expire(Date.now(), 15), 0);
    assert.equal(await firstValue(custom, "SELECT COUNT(*) FROM mqtt_msg WHERE gone = 1"), 2_520);
  });

  test("a default removal with a select template that hides rows leaves these", async (t) => {
    const select = "SELECT * FROM mqtt_msg WHERE topic = ${topic} AND sender <> 'hidden'";
    const custom = await startCustom(t, server, "", { select_message_sql: select }, { store: { messageTtl: 60 } });
    const { store } = custom;
    const old = Date.now() - 120_000;
    await saveAll(store, [
      ...sampleMessages("t", 3),
      sampleMessage("t", "x", { from: "hidden" }),
      sampleMessage("t", "x", { from: "hidden", timestamp: old }),
      sampleMessage("t", "x", { timestamp: old }),
    ]);
    assert.equal(await store.expire(Date.now(), 10), 1);
    assert.equal(await store.purge("+", 10), 3);
    assert.equal(await firstValue(custom, "SELECT COUNT(*) FROM mqtt_msg WHERE sender = 'hidden'"), 2);
    assert.equal(await firstValue(custom, "SELECT COUNT(*) FROM mqtt_msg"), 2);
  });

  for (const [name, templates] of [
    [
      "without id",
      { select_message_sql: "SELECT msgid, topic, payload FROM mqtt_msg WHERE topic = ${topic} ORDER BY id DESC" },
    ],
    [
      "with an id that is no number",
      { select_message_sql: "SELECT msgid AS id, msgid, payload FROM mqtt_msg WHERE topic = ${topic}" },
    ],
    [
      "with a custom removal",
      {
        select_message_sql: "SELECT msgid, payload FROM mqtt_msg WHERE topic = ${topic}",
        delete_message_sql: "DELETE FROM mqtt_msg WHERE msgid = '${id}'",
      },
    ],
  ] as const) {
    test(`a result ${name}: a bounded page of each topic in the order of publishing, with a warning`, async (t) => {
      const options = { store: { maxBacklogPerTopic: 10 } };
      const { store, warnings } = await startCustom(t, server, "", templates, options);
      assert.match(warnings.join(), /no column id/);
      const [a, b] = [sampleMessages("a", 25), sampleMessages("b", 5)];
      await saveAll(store, [...a, ...b]);
      const firstOf = async (topicFilter: string) => {
        const { messages, next } = await store.readPage({ topicFilter, maxMessages: 100, maxBytes: 1e6 });
        assert.equal(next, undefined);
        return messages.map(({ message }) => keyOf(message));
      };
      assert.deepEqual(await firstOf("a"), a.slice(0, 10).map(keyOf));
      await store.deleteMessages(a.slice(0, 5).map(keyOf));
      assert.deepEqual(await firstOf("+"), [...a.slice(5, 15), ...b].map(keyOf));
      assert.equal(await store.purge("a", 13), 13);
      assert.deepEqual(await firstOf("a"), a.slice(18).map(keyOf));
      assert.equal(await store.purge("#", 100), 12);
      assert.deepEqual(await firstOf("#"), []);
    });
  }

  test("a result without topic, sender, qos, retain and arrived, and with columns that nobody knows", async (t) => {
    const select = "SELECT id, msgid, payload, 'x' AS color, NULL AS `a b` FROM mqtt_msg WHERE topic = ${topic}";
    const { store } = await startCustom(t, server, "", { select_message_sql: select });
    const message = sampleMessage("a/b", "x", { qos: 2, retain: true });
    await saveAll(store, [message, sampleMessage("a/c", "y")]);
    for (const filter of ["a/b", "+/b"]) {
      const [found, ...more] = (await readAll(store, filter)).map((stored) => stored.message);
      assert.equal(more.length, 0);
      assert.ok(found);
      assert.deepEqual(
        { ...found, payload: Buffer.from(found.payload).toString() },
        {
          id: message.id,
          from: "",
          topic: "a/b",
          qos: 0,
          retain: false,
          payload: "x",
          timestamp: found.timestamp,
        },
      );
      // The id tells when the message was made.
      assert.ok(Math.abs(found.timestamp - message.timestamp) < 60_000);
    }
    await store.deleteMessages([keyOf(message)]);
    assert.deepEqual(await payloads(store, "a/#"), ["y"]);
  });

  test("payloads in a column of type JSON, flags in columns of type BIT", async (t) => {
    const tables =
      "CREATE TABLE odd (id INT AUTO_INCREMENT PRIMARY KEY, msgid CHAR(32), topic VARBINARY(99), qos BIT(2), retain BIT, payload JSON, arrived BIGINT);";
    const { store } = await startCustom(t, server, tables, {
      insert_message_sql:
        "INSERT INTO odd(msgid, topic, qos, retain, payload, arrived) VALUES (${id}, ${topic}, ${qos}, ${flags.retain}, ${payload}, ${timestamp})",
      select_message_sql: "SELECT * FROM odd WHERE topic = ${topic}",
      delete_message_sql: "DELETE FROM odd WHERE msgid = ${id}",
    });
    const payload = '{"a": [1, "ü"]}';
    await saveAll(store, [sampleMessage("ü", payload, { qos: 2, retain: true }), sampleMessage("ü", "[]", { qos: 1 })]);
    await assert.rejects(store.saveMessage(sampleMessage("ü", "no JSON")), { code: "STORE_INVALID" });
    const found = (await readAll(store, "#")).map(({ message }) => message);
    assert.deepEqual(
      found.map(({ qos, retain, topic }) => [qos, retain, topic]),
      [
        [2, true, "ü"],
        [1, false, "ü"],
      ],
    );
    assert.equal(Buffer.from(found[0]?.payload ?? []).toString(), payload);
  });

  for (const [name, templates] of [
    [
      "INSERT … SET",
      { ...MYMSG_TEMPLATES, insert_message_sql: "INSERT INTO mymsg SET uid = ${id}, t = ${topic}, body = ${payload}" },
    ],
    [
      "a VALUES group, and a select template that shows approved rows only",
      { ...MYMSG_TEMPLATES, select_message_sql: `${MYMSG_TEMPLATES.select_message_sql} AND note = 'approved'` },
    ],
    [
      "a VALUES group, and a computed id",
      {
        ...MYMSG_TEMPLATES,
        select_message_sql: MYMSG_TEMPLATES.select_message_sql.replace("n AS id", "CAST(n AS SIGNED) - 1000 AS id"),
      },
    ],
  ] as const) {
    test(`a batch whose outcome is not known is not stored twice: ${name}`, async (t) => {
      const setup = await behindProxy(t, await createDatabase(server, { schema: MYMSG + ORIGINAL_SCHEMA }));
      const { store } = await startStore(t, setup.place, {
        timeout: HANGS,
        templates: { ...DEFAULT_TEMPLATES, ...templates },
      });
      const messages = sampleMessages("t", 48);
      await saveAll(store, messages.slice(0, 16));
      await saveAll(store, messages.slice(16, 32));
      const cut = setup.proxy.cutAfter(0);
      await within(Promise.all([saveAll(store, messages.slice(32)), cut]), { what: "the saves and the cut" });
      const rows = await setup.with((client) => client.query("SELECT uid FROM mymsg ORDER BY n"));
      assert.deepEqual(
        rows.map(({ uid }) => uid),
        messages.map(({ id }) => id),
      );
    });
  }
});
