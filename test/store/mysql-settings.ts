// What holds for the MySQL store whatever the settings of the server are, and how tests change these.

import assert from "node:assert/strict";
import type { Message } from "../../src/mqtt/message.ts";
import { MySqlConnection } from "../../src/store/mysql/connection.ts";
import type { MariadbPlace, MariadbSetup } from "../support/mariadb.ts";
import type { MariadbServer } from "../support/mariadb-server.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { startStore } from "./mysql-stores.ts";
import { ORIGINAL_SCHEMA } from "./original/schema.ts";
import { comparable, keyOf, listAll, payloads, readAll, sampleMessage, saveAll } from "./sample-messages.ts";

/** The store makes its tables itself. */
export const EMPTY_DATABASE = { schema: "", databaseRights: "CREATE, SELECT, INSERT, UPDATE, DELETE" };

/** The tables of EMQX's plugin in another character set. */
export function schemaIn(characterSet: string): string {
  return ORIGINAL_SCHEMA.replaceAll("utf8MB4", characterSet);
}

/** Texts of which a character set has all characters. */
export const BMP = /^[^\u{10000}-\u{10FFFF}]*$/u;
export const LATIN = /^[^\u0100-\uffff]*$/;

/** More than a page of any limit in the tests; some are equal to tables that ignore case, accents or spaces at the end. */
const TOPICS = [
  ...["t/abc", "t/ABC", "t/ábc", "t/abc ", "t/'q'", 't/"q"', "t/`q`", "t/back\\slash", "t/\\", "t/\\'", "t/%_", "t/||"],
  ...["t/?", `t/${"long".repeat(20)}/2`, `t/${"long".repeat(20)}/1`, "t/-- x", "t/日本", "t/😀", "t/\\%", "t/€"],
];
const ALL_BYTES = Uint8Array.from({ length: 256 }, (_, byte) => byte);
const QUOTES = Buffer.from("\\'\\\\''\"\\\"%_`\\0\\n\\x");

const WINTER = Date.UTC(2026, 0, 15, 12, 0, 0, 123);
const SUMMER = Date.UTC(2026, 6, 15, 3, 34, 56, 789);
const HOUR = 3_600_000;
const TTL = 1_800;

interface Limits {
  /** Absent: every text can be stored. */
  readonly characters?: RegExp | undefined;
  /** An hour of the year is ambiguous, which may be now. */
  readonly hasSummerTime?: boolean;
}

/** Stores, reads, lists and removes what settings might change, on tables without rows, which it leaves without rows. */
export async function keepsEverything(t: Scope, setup: MariadbSetup, limits: Limits = {}): Promise<void> {
  const { characters = /^/, hasSummerTime = false } = limits;
  const { place } = setup;
  const tables = await setup.with((client) => client.query("SHOW TABLES"));
  const own = tables.length === 0;
  const options = { initDefaultSchema: own, poolSize: 2 };
  const { store, healths } = await startStore(t, place, options);
  assert.deepEqual(healths, []);
  const topics = TOPICS.filter((topic) => characters.test(topic));
  const messages = topics.map((topic, at) =>
    sampleMessage(topic, at % 2 === 0 ? ALL_BYTES : QUOTES, {
      from: `client ${topic.slice(-20)}`,
      timestamp: at % 3 === 0 ? WINTER : SUMMER,
    }),
  );
  await saveAll(store, messages);
  const isTime = (found: number, expected: number): boolean =>
    own ? found === expected : Math.abs(found - expected) < 1_000 && found % 1_000 === 0;
  const { store: other } = await startStore(t, place, options);
  for (const [reader, maxMessages] of [
    [store, 100],
    [other, 5],
  ] as const) {
    const found = (await readAll(reader, "t/#", { maxMessages })).map(({ message }) => message);
    const untimed = found.map((message, at) => ({ ...message, timestamp: messages[at]?.timestamp ?? 0 }));
    assert.deepEqual(untimed.map(comparable), messages.map(comparable));
    for (const [at, { timestamp }] of found.entries()) {
      const { timestamp: expected = 0 } = messages[at] ?? {};
      assert.ok(isTime(timestamp, expected), `${timestamp} for ${expected}`);
    }
  }
  for (const topic of topics) {
    const found = (await readAll(other, topic)).map(({ message }) => message.topic);
    assert.deepEqual(found, [topic]);
  }
  await haveRows(setup, messages, isTime);
  assert.deepEqual(
    (await listAll(store, { topicFilter: "t/#", limit: 5 })).map(({ topic }) => topic),
    topics.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  );
  assert.deepEqual(await store.totals(), {
    messages: messages.length,
    bytes: messages.reduce((bytes, { payload }) => bytes + payload.length, 0),
  });
  assert.equal(await store.lastMessageId(), messages.at(-1)?.id);
  for (const topic of topics) {
    const clientId = `c ${topic.slice(-20)}`;
    const subscription = { clientId, topicFilter: topic, qos: 2 } as const;
    const rest = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    await store.saveSubscription({ ...subscription, ...rest });
    assert.deepEqual(await other.listSubscriptions(clientId), [{ ...subscription, ...rest }]);
    await store.deleteSubscription(clientId, topic);
    assert.deepEqual(await other.listSubscriptions(clientId), []);
  }
  // The other one knows the rows of what it has read, and a third one knows none.
  const { store: third } = await startStore(t, place, { ...options, messageTtl: TTL });
  await other.deleteMessages(messages.slice(0, 6).map(keyOf));
  await third.deleteMessages(messages.slice(6, 9).map(keyOf));
  assert.equal(await store.purge("#", 100), messages.length - 9);
  await expires(third, hasSummerTime);
  assert.equal((await setup.with((client) => client.query("SELECT id FROM mqtt_msg"))).length, 0);
  assert.deepEqual(healths, []);
}

type Store = Awaited<ReturnType<typeof startStore>>["store"];

/** What is just stored does not expire, and what was stored an hour ago does. */
async function expires(store: Store, hasSummerTime: boolean): Promise<void> {
  for (const now of [WINTER, SUMMER]) {
    const [young, old] = [now, now - HOUR].map((timestamp) => sampleMessage("e", "", { timestamp }));
    await saveAll(store, [young, old] as never);
    assert.equal(await store.expire(now, 100), 1);
    assert.equal((await store.totals()).messages, 1);
    assert.equal(await store.expire(now + HOUR, 100), 1);
    assert.equal((await store.totals()).messages, 0);
  }
  const now = Date.now();
  const messages = [
    sampleMessage("e", "young", { timestamp: now }),
    sampleMessage("e", "old", { timestamp: now - HOUR }),
  ];
  await saveAll(store, messages);
  if (!hasSummerTime) {
    assert.deepEqual(await payloads(store, "e"), ["young"]);
    assert.equal(await store.expire(now, 100), 1);
  }
  await store.deleteMessages(messages.map(keyOf));
}

/** The rows as a client sees them that shares no settings with the store; times in the zone of the server, as EMQX's plugin reads them. */
async function haveRows(
  setup: MariadbSetup,
  messages: readonly Message[],
  isTime: (found: number, expected: number) => boolean,
): Promise<void> {
  const rows = await setup.with(async (client) => {
    await client.query("SET SESSION time_zone = @@GLOBAL.time_zone");
    return client.query(
      "SELECT HEX(CONVERT(topic USING utf8mb4)) AS topic, HEX(payload) AS payload, UNIX_TIMESTAMP(arrived) AS arrived FROM mqtt_msg ORDER BY id",
    );
  });
  const hex = (bytes: string | Uint8Array) =>
    Buffer.from(bytes as Uint8Array)
      .toString("hex")
      .toUpperCase();
  assert.deepEqual(
    rows.map(({ topic, payload }) => ({ topic, payload })),
    messages.map(({ topic, payload }) => ({ topic: hex(topic), payload: hex(payload) })),
  );
  for (const [at, { arrived = 0 }] of rows.entries()) {
    const { timestamp: expected = 0 } = messages[at] ?? {};
    assert.ok(isTime(Math.round(Number(arrived) * 1_000), expected), `${arrived} for ${expected}`);
  }
}

/** A topic that is one character too long for a table which was made narrower behind the store's back. */
export async function refusesWhatIsTooLong(t: Scope, setup: MariadbSetup): Promise<void> {
  const { store } = await startStore(t, setup.place);
  await setup.with((client) => client.query("ALTER TABLE mqtt_msg MODIFY topic varchar(8) NOT NULL"));
  await assert.rejects(store.saveMessage(sampleMessage("t/6789012".slice(0, 9))), { code: "STORE_TOO_LARGE" });
  await store.saveMessage(sampleMessage("t/345678"));
  assert.deepEqual(await setup.with((client) => client.query("SELECT topic FROM mqtt_msg")), [{ topic: "t/345678" }]);
}

/** Sets global variables of the server until the end of the test: connections that are made meanwhile have them. */
export async function withGlobals(
  t: Scope,
  server: MariadbServer,
  globals: Readonly<Record<string, string | number>>,
): Promise<void> {
  for (const [name, value] of Object.entries(globals)) {
    const before = await server.with(async (client) => {
      const [row] = await client.query(`SELECT @@GLOBAL.${name} AS value`);
      await client.query(`SET GLOBAL ${name} = ${literal(value)}`);
      return row?.value;
    });
    const restore = `SET GLOBAL ${name} = ${literal(before as string | number)}`;
    t.after(async () => {
      await server.with((client) => client.query(restore));
    });
  }
}

function literal(value: string | number): string {
  return /^[\d.]+$/.test(String(value)) ? String(value) : `'${value}'`;
}

/** The `sql_mode` in which the store's statements run. */
export async function modeOfStore(place: MariadbPlace): Promise<string> {
  const connection = new MySqlConnection({ ...place, timeout: 10_000 });
  try {
    await connection.attempted;
    return String((await connection.query("SELECT @@SESSION.sql_mode AS mode")).rows[0]?.mode);
  } finally {
    connection.close();
  }
}
