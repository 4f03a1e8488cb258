// What the tables of EMQX's plugin cannot hold: what collides in their keys, and what is too long for their columns.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Message } from "../../src/mqtt/message.ts";
import type { Subscription } from "../../src/mqtt/subscription.ts";
import { createDatabase, type DatabaseOptions, mariadbSkip } from "../support/mariadb.ts";
import { MariadbServer } from "../support/mariadb-server.ts";
import { inReverse, type Scope } from "../support/temporary-directory.ts";
import { startStore } from "./mysql-stores.ts";
import { ORIGINAL_SCHEMA } from "./original/schema.ts";
import { messageRows, subscriptionRows } from "./original-mysql-data.ts";
import { listAll, payloads, readAll, sampleMessage, sampleMessages, silentLogger } from "./sample-messages.ts";

describe("EMQX's tables", { skip: mariadbSkip("plain") }, () => {
  const scope = inReverse({ after });
  let server: MariadbServer;
  before(async () => {
    server = await MariadbServer.start(scope);
  });

  async function started(t: Scope, options: DatabaseOptions = {}) {
    const setup = await createDatabase(server, options);
    const client = await server.connect({ database: setup.place.database });
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (_: object, text: string) => warnings.push(text) };
    const { store, healths, collisions } = await startStore(t, setup.place, { logger });
    return { client, store, collisions, warnings, healths };
  }

  describe("subscriptions whose keys are equal to the table", () => {
    const sample = (clientId: string, topicFilter: string, qos: 0 | 1 | 2 = 1): Subscription => ({
      clientId,
      topicFilter,
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    });
    const pairs = [
      ["filters by case", sample("c", "t/a"), sample("c", "t/A", 2)],
      ["filters by accents", sample("c", "t/a"), sample("c", "t/á", 2)],
      ["filters by a space at the end", sample("c", "t/a"), sample("c", "t/a ", 2)],
      ["clients by case", sample("C1", "t"), sample("c1", "t", 2)],
      ["both", sample("C1", "t/a"), sample("c1", "t/A", 2)],
    ] as const;
    for (const [name, first, second] of pairs) {
      test(`${name}: the second is not stored, which is told once, and neither disturbs the other`, async (t) => {
        const { client, store, collisions, warnings } = await started(t);
        const told = warnings.length;
        assert.ok(
          warnings.some((warning) => /table of subscriptions.*omp mysql migrate/.test(warning)),
          "told at the start",
        );
        await store.saveSubscription(first);
        for (let times = 0; times < 3; times++) await store.saveSubscription(second);
        assert.equal(collisions(), 3);
        assert.equal(warnings.length, told + 1);
        assert.match(warnings.at(-1) ?? "", /a subscription is not stored.*omp mysql migrate/);
        const rows = [{ clientid: first.clientId, topic: first.topicFilter, qos: 1 }];
        assert.deepEqual(await subscriptionRows(client), rows);
        if (second.clientId !== first.clientId) assert.deepEqual(await store.listSubscriptions(second.clientId), []);
        await store.deleteSubscription(second.clientId, second.topicFilter);
        assert.deepEqual(await store.listSubscriptions(first.clientId), [first]);
        // Its own row it may still change, and once that is gone the other has its turn.
        await store.saveSubscription({ ...first, qos: 0 });
        assert.deepEqual(await store.listSubscriptions(first.clientId), [{ ...first, qos: 0 }]);
        await store.deleteSubscription(first.clientId, first.topicFilter);
        await store.saveSubscription(second);
        assert.deepEqual(await store.listSubscriptions(second.clientId), [second]);
        assert.equal(warnings.length, told + 1);
      });
    }

    test("a client that differs from a stored one by case has its own filters beside that one's", async (t) => {
      const { store } = await started(t);
      await store.saveSubscription(sample("C1", "one"));
      await store.saveSubscription(sample("c1", "two"));
      assert.deepEqual(await store.listSubscriptions("C1"), [sample("C1", "one")]);
      assert.deepEqual(await store.listSubscriptions("c1"), [sample("c1", "two")]);
      await store.deleteSubscription("c1", "one");
      await store.deleteSubscription("C1", "two");
      assert.deepEqual(await store.listSubscriptions("C1"), [sample("C1", "one")]);
      assert.deepEqual(await store.listSubscriptions("c1"), [sample("c1", "two")]);
    });

    test("too long a client id or filter is refused, with no statement sent", async (t) => {
      const { store, client } = await started(t);
      const before = await inserts(client);
      await assert.rejects(store.saveSubscription(sample("c".repeat(65), "t")), {
        code: "STORE_TOO_LARGE",
        message: /migrate/,
      });
      await assert.rejects(store.saveSubscription(sample("c", "t".repeat(181))), {
        code: "STORE_INVALID",
        message: /migrate/,
      });
      assert.equal(await inserts(client), before);
      await store.saveSubscription(sample("😀".repeat(64), "😀".repeat(180)));
      assert.equal((await store.listSubscriptions("😀".repeat(64))).length, 1);
    });
  });

  const bad: readonly (readonly [name: string, Message, code: string, message: RegExp])[] = [
    ["a topic of 181 characters", sampleMessage("x".repeat(181)), "STORE_INVALID", /topic .* 180 characters/],
    ["a topic of 181 emoji", sampleMessage("😀".repeat(181)), "STORE_INVALID", /topic .* 180 characters/],
    [
      "a client id of 65 characters",
      sampleMessage("t", "", { from: "c".repeat(65) }),
      "STORE_TOO_LARGE",
      /client id .* 64 characters/,
    ],
    ["a payload of 65,536 bytes", sampleMessage("t", "x".repeat(65_536)), "STORE_TOO_LARGE", /payload .* 65535/],
  ];
  for (const [name, message, code, text] of bad) {
    test(`${name} is refused, with no statement sent`, async (t) => {
      const { store, client, healths } = await started(t);
      const before = await inserts(client);
      await assert.rejects(store.saveMessage(message), { code, message: text });
      assert.equal(await inserts(client), before);
      assert.deepEqual(await messageRows(client), []);
      assert.deepEqual(healths, []);
    });
  }

  test("what has just room is stored", async (t) => {
    const { store } = await started(t);
    const topic = "😀".repeat(180);
    await store.saveMessage(sampleMessage(topic, "x".repeat(65_535), { from: "ü".repeat(64) }));
    const [found] = await readAll(store, topic);
    assert.equal(found?.message.topic, topic);
    assert.equal(found?.message.payload.length, 65_535);
    assert.equal(found?.message.from, "ü".repeat(64));
  });

  test("an emoji in a table of utf8mb3 is refused, with no statement sent, and nothing else is changed by its text", async (t) => {
    const utf8mb3 = { characterSet: "utf8mb3", schema: ORIGINAL_SCHEMA.replaceAll("utf8MB4", "utf8mb3") };
    const { store, client } = await started(t, utf8mb3);
    const before = await inserts(client);
    await assert.rejects(store.saveMessage(sampleMessage("t/😀")), { code: "STORE_INVALID", message: /topic/ });
    await assert.rejects(store.saveMessage(sampleMessage("t", "", { from: "😀" })), { code: "STORE_TOO_LARGE" });
    assert.equal(await inserts(client), before);
    // Read, removed and listed it can be as well, though nothing is there.
    assert.deepEqual(await payloads(store, "t/😀"), []);
    assert.deepEqual(await payloads(store, "t/😀/#"), []);
    assert.deepEqual(await listAll(store, { topicFilter: "t/😀/+", limit: 10 }), []);
    assert.deepEqual(await store.listSubscriptions("😀"), []);
    await store.deleteMessages([{ id: "0".repeat(32), topic: "t/😀" }]);
    await store.deleteSubscription("😀", "t/😀");
    await store.saveMessage(sampleMessage("t/ü日本", "😀"));
    assert.deepEqual(await payloads(store, "t/#"), ["😀"]);
    assert.deepEqual(await payloads(store, "t/ü日本"), ["😀"]);
  });

  for (const mode of ["STRICT_TRANS_TABLES", ""]) {
    test(`a table that was made narrower behind the store's back, sql_mode '${mode}': the one of ten that does not fit is refused`, async (t) => {
      await server.with((client) => client.query(`SET GLOBAL sql_mode = '${mode}'`));
      t.after(() => server.with((client) => client.query("SET GLOBAL sql_mode = DEFAULT")));
      const { store, client, healths } = await started(t);
      await client.query(
        "ALTER TABLE mqtt_msg MODIFY topic varchar(8) NOT NULL, MODIFY sender varchar(10), MODIFY payload tinyblob",
      );
      const tries = [
        sampleMessage("t/too/long", "bad"),
        sampleMessage("t", "bad", { from: "longer than ten" }),
        sampleMessage("t", "x".repeat(256)),
      ];
      for (const [at, wrong] of tries.entries()) {
        const messages = sampleMessages(`t/${at}`, 9);
        const outcomes = await Promise.allSettled(
          [...messages.slice(0, 4), wrong, ...messages.slice(4)].map((message) => store.saveMessage(message)),
        );
        assert.deepEqual(
          outcomes.map((outcome) => (outcome.status === "fulfilled" ? "stored" : outcome.reason.code)),
          [...Array(4).fill("stored"), "STORE_TOO_LARGE", ...Array(5).fill("stored")],
        );
        assert.equal((await payloads(store, `t/${at}`)).join(""), "012345678");
      }
      assert.equal((await messageRows(client)).length, 27);
      assert.deepEqual(healths, []);
    });
  }
});

/** Statements that the server was sent to execute, of all clients. */
async function inserts(client: { query(sql: string): Promise<readonly object[]> }): Promise<number> {
  const rows = await client.query("SHOW GLOBAL STATUS LIKE 'Com_insert'");
  return Number((rows[0] as { readonly Value: string }).Value);
}
