// What the store costs on the tables of EMQX's plugin, counted in rows that the server reads: a clock would say less.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createDatabase, mariadbSkip } from "../support/mariadb.ts";
import type { MariadbClient } from "../support/mariadb-client.ts";
import { MariadbServer } from "../support/mariadb-server.ts";
import { inReverse, type Scope } from "../support/temporary-directory.ts";
import { startStore } from "./mysql-stores.ts";
import { keyOf, sampleMessage, saveAll } from "./sample-messages.ts";

/** Messages of a page. */
const PAGE = 1_024;
/** Rows read at most for each message that is drained: found, measured, read, removed, with as many of others among them. */
const MAX_PER_MESSAGE = 15;

describe("rows that are read on EMQX's tables", { skip: mariadbSkip("plain") }, () => {
  const scope = inReverse({ after });
  let server: MariadbServer;
  before(async () => {
    server = await MariadbServer.start(scope);
  });

  async function started(t: Scope) {
    const setup = await createDatabase(server);
    const client = await server.connect({ database: setup.place.database });
    return { client, store: (await startStore(t, setup.place)).store };
  }

  /** What a store reads that drains so many messages of these topics, with more messages on others. */
  async function drained(t: Scope, filter: string, topics: number, count: number): Promise<Reads> {
    const { client, store } = await started(t);
    await fill(client, topics, count);
    const first = await reads(client);
    const removals: Promise<void>[] = [];
    let messages = 0;
    let after: string | undefined;
    do {
      const page = await store.readPage({
        topicFilter: filter,
        maxMessages: PAGE,
        maxBytes: 1_000_000,
        ...(after === undefined ? {} : { after }),
      });
      messages += page.messages.length;
      for (const { message } of page.messages) removals.push(store.deleteMessages([keyOf(message)]));
      after = page.next;
    } while (after !== undefined);
    await Promise.all(removals);
    assert.equal(messages, count);
    return difference(await reads(client), first);
  }

  for (const [name, filter, topics] of [
    ["an exact topic", "t/1", 1],
    ["t/# with 5 topics", "t/#", 5],
    ["t/# with 200 topics", "t/#", 200],
    ["+/# with 200 topics", "+/#", 200],
  ] as const) {
    test(`draining ${name} reads rows in proportion to the messages`, async (t) => {
      const few = await drained(t, filter, topics, 1_000);
      const many = await drained(t, filter, topics, 4_000);
      assert.ok(sum(many) < 5 * sum(few), JSON.stringify({ few, many }));
      assert.ok(sum(many) < MAX_PER_MESSAGE * 4_000, JSON.stringify(many));
    });
  }

  test("removing messages one after the other that were read takes one row each", async (t) => {
    const { client, store } = await started(t);
    await fill(client, 5, 500);
    const page = await store.readPage({ topicFilter: "t/#", maxMessages: 100, maxBytes: 1_000_000 });
    const first = await reads(client);
    for (const { message } of page.messages) await store.deleteMessages([keyOf(message)]);
    assert.ok(
      sum(difference(await reads(client), first)) < 200,
      JSON.stringify(difference(await reads(client), first)),
    );
    assert.deepEqual(await client.query("SELECT COUNT(*) AS count FROM mqtt_msg"), [{ count: 900 }]);
  });

  test("removing messages that were just saved and never read, as live traffic does, takes no scan", async (t) => {
    const { client, store } = await started(t);
    await fill(client, 50, 5_000);
    const first = await reads(client);
    for (let round = 0; round < 20; round++) {
      const messages = Array.from({ length: 50 }, (_, at) => sampleMessage(`t/${at}`, "x", { id: freshId() }));
      await saveAll(store, messages);
      // One by one at times, since a statement for many may be cheaper than it is for one.
      if (round % 2 === 0) await Promise.all(messages.map((message) => store.deleteMessages([keyOf(message)])));
      else for (const message of messages) await store.deleteMessages([keyOf(message)]);
    }
    const spent = difference(await reads(client), first);
    assert.ok(sum(spent) < 3 * 1_000, JSON.stringify(spent));
    assert.deepEqual(await client.query("SELECT COUNT(*) AS count FROM mqtt_msg"), [{ count: 10_000 }]);
  });

  test("removing messages that were saved before a restart and never read looks through their topics only", async (t) => {
    const { client, store } = await started(t);
    await fill(client, 50, 5_000);
    const first = await reads(client);
    // The messages of t/1 and t/2, as `fill` makes them.
    const keys = Array.from({ length: 100 }, (_, at) => [
      { id: (100 * at + 1).toString(16).toUpperCase().padStart(32, "0"), topic: "t/1" },
      { id: (100 * at + 3).toString(16).toUpperCase().padStart(32, "0"), topic: "t/2" },
    ]).flat();
    await Promise.all(keys.map((key) => store.deleteMessages([key])));
    const spent = difference(await reads(client), first);
    assert.ok(sum(spent) < 2 * 1_000, JSON.stringify(spent));
    assert.deepEqual(await client.query("SELECT COUNT(*) AS count FROM mqtt_msg"), [{ count: 9_800 }]);
  });
});

type Reads = Readonly<Record<string, number>>;

/** Handler_read_* of all clients. */
async function reads(client: MariadbClient): Promise<Reads> {
  const rows = await client.query("SHOW GLOBAL STATUS LIKE 'Handler_read%'");
  return Object.fromEntries(rows.map(({ Variable_name, Value }) => [String(Variable_name), Number(Value)]));
}

function difference(after: Reads, before: Reads): Reads {
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)]));
}

function sum(reads: Reads): number {
  return Object.values(reads).reduce((total, value) => total + value, 0);
}

let fresh = 0n;

/** An id of now, which cannot be stored yet: the store need not look. */
function freshId(): string {
  return ((BigInt(Date.now() * 1_000) << 64n) + ++fresh).toString(16).toUpperCase().padStart(32, "0");
}

/** `count` messages on t/1 … t/<topics> in turn, and as many on other topics among them. */
async function fill(client: MariadbClient, topics: number, count: number): Promise<void> {
  await client.query(`INSERT INTO mqtt_msg (msgid, topic, sender, qos, retain, payload, arrived)
    SELECT LPAD(HEX(seq), 32, '0'), IF(seq % 2, CONCAT('t/', (seq DIV 2) % ${topics} + 1), CONCAT('$u/', seq % 100)), 'a', 1, 0,
    REPEAT('x', 100), NOW() FROM seq_1_to_${2 * count}`);
}
