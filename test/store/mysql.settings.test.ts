// Settings of the server that are not what they usually are: none of them changes a byte of a payload, a topic or a time.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Message } from "../../src/mqtt/message.ts";
import { DEFAULT_TEMPLATES } from "../../src/store/mysql/default-templates.ts";
import { createDatabase, type DatabaseOptions, mariadbSkip } from "../support/mariadb.ts";
import { MariadbServer } from "../support/mariadb-server.ts";
import { inReverse } from "../support/temporary-directory.ts";
import {
  BMP,
  EMPTY_DATABASE,
  keepsEverything,
  LATIN,
  modeOfStore,
  refusesWhatIsTooLong,
  schemaIn,
  withGlobals,
} from "./mysql-settings.ts";
import { startStore } from "./mysql-stores.ts";
import { listAll, payloads, sampleMessage, sampleMessages, saveAll, silentLogger } from "./sample-messages.ts";

/** No commit waits for the disk: nothing is ended here. */
const QUICK = { innodb_flush_log_at_trx_commit: 0 };

/** Modes with which a server may run. */
const MODES: Readonly<Record<string, string>> = {
  none: "",
  ANSI_QUOTES: "ANSI_QUOTES",
  NO_BACKSLASH_ESCAPES: "NO_BACKSLASH_ESCAPES",
  "all that change how a statement is read":
    "REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ONLY_FULL_GROUP_BY,NO_BACKSLASH_ESCAPES,HIGH_NOT_PRECEDENCE,STRICT_TRANS_TABLES",
  "all that change what is stored":
    "NO_UNSIGNED_SUBTRACTION,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE,NO_ENGINE_SUBSTITUTION",
  PIPES_AS_CONCAT: "PIPES_AS_CONCAT",
  ONLY_FULL_GROUP_BY: "ONLY_FULL_GROUP_BY",
  TIME_ROUND_FRACTIONAL: "TIME_ROUND_FRACTIONAL",
  EMPTY_STRING_IS_NULL: "EMPTY_STRING_IS_NULL,NO_BACKSLASH_ESCAPES",
  TRADITIONAL: "TRADITIONAL",
  ORACLE: "ORACLE",
};

/** Other variables, by the names of their tests. */
const GLOBALS: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
  "default_time_zone +05:45": { time_zone: "+05:45" },
  "autocommit off, each COMMIT begins the next transaction": { autocommit: 0, completion_type: "CHAIN" },
  "each COMMIT ends the connection": { completion_type: "RELEASE" },
  "tx_isolation SERIALIZABLE, sql_safe_updates": { tx_isolation: "SERIALIZABLE", sql_safe_updates: 1 },
  "sql_select_limit 10, max_statement_time 1 s": { sql_select_limit: 10, max_statement_time: 1 },
  "a collation that ignores much, init_connect with another character set": {
    collation_server: "utf8mb4_unicode_ci",
    init_connect: "SET NAMES latin1",
  },
  "div_precision_increment 0, max_sort_length 64": { div_precision_increment: 0, max_sort_length: 64 },
  "auto_increment_increment 7": { auto_increment_increment: 7, auto_increment_offset: 3 },
};

const CHARACTER_SETS: readonly (readonly [name: string, DatabaseOptions, characters?: RegExp])[] = [
  ["a database of utf8mb3", { characterSet: "utf8mb3" }],
  ["a database of latin1", { characterSet: "latin1" }],
  ["a database of latin1 that is empty", { ...EMPTY_DATABASE, characterSet: "latin1" }],
  ["tables of utf8mb3", { characterSet: "utf8mb3", schema: schemaIn("utf8mb3") }, BMP],
  ["tables of latin1", { characterSet: "latin1", schema: schemaIn("latin1") }, LATIN],
];

describe("settings of the server", { skip: mariadbSkip("plain") }, () => {
  const scope = inReverse({ after });
  let server: MariadbServer;
  before(async () => {
    server = await MariadbServer.start(scope, { directives: QUICK });
  });

  for (const [name, mode] of Object.entries(MODES)) {
    test(`sql_mode: ${name}`, async (t) => {
      await withGlobals(t, server, { sql_mode: mode });
      const setup = await createDatabase(server);
      const own = (await modeOfStore(setup.place)).split(",");
      const given = mode.split(",").filter((word) => !/^$|BACKSLASH|EMPTY_STRING|PAD_CHAR/.test(word));
      for (const word of ["STRICT_ALL_TABLES", ...given]) assert.ok(own.includes(word), `${word} in ${own}`);
      assert.doesNotMatch(own.join(), /BACKSLASH|EMPTY_STRING|PAD_CHAR/);
      await keepsEverything(t, setup);
      await keepsEverything(t, await createDatabase(server, EMPTY_DATABASE));
      await refusesWhatIsTooLong(t, setup);
    });
  }

  for (const [name, globals] of Object.entries(GLOBALS)) {
    test(name, async (t) => {
      await withGlobals(t, server, globals);
      await keepsEverything(t, await createDatabase(server));
      await keepsEverything(t, await createDatabase(server, EMPTY_DATABASE));
    });
  }

  for (const [name, options, characters] of CHARACTER_SETS) {
    test(name, async (t) => {
      await keepsEverything(t, await createDatabase(server, options), { characters });
    });
  }

  test("a max_allowed_packet of 64 KiB: what fits is stored, read and removed, in statements that fit", async (t) => {
    await withGlobals(t, server, { max_allowed_packet: 65_536 });
    const setup = await createDatabase(server, EMPTY_DATABASE);
    const start = () => startStore(t, setup.place, { initDefaultSchema: true });
    const { store, healths } = await start();
    healths.length = 0;
    const large = Array.from({ length: 10 }, (_, at) => sampleMessage("large", Buffer.alloc(40_000, at)));
    // Long topics, of which a wildcard reads several with one statement.
    const topics = Array.from({ length: 40 }, (_, at) => `${at}/${"😀".repeat(765)}`);
    const many = topics.flatMap((topic) => sampleMessages(topic, 3));
    const short = sampleMessages("short", 600);
    await saveAll(store, [...large, ...many, ...short]);
    await assert.rejects(store.saveMessage(sampleMessage("large", Buffer.alloc(65_000))), { code: "STORE_TOO_LARGE" });
    assert.equal((await payloads(store, "large")).length, large.length);
    assert.equal((await payloads(store, "+/+", 1_000)).length, many.length);
    assert.equal((await payloads((await start()).store, "#", 1_000)).length, large.length + many.length + short.length);
    const { store: other } = await start();
    await other.deleteMessages([...large, ...many, ...short].map(({ id, topic }) => ({ id, topic })));
    assert.equal((await store.totals()).messages, 0);
    assert.deepEqual(healths, []);
  });

  test("a max_allowed_packet below 64 KiB is told at the start", async (t) => {
    await withGlobals(t, server, { max_allowed_packet: 32_768 });
    const setup = await createDatabase(server);
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (_: object, text: string) => warnings.push(text) };
    await startStore(t, setup.place, { logger });
    assert.ok(warnings.some((warning) => /^max_allowed_packet of MySQL is 32768 bytes/.test(warning)));
  });

  test("templates with a transaction of several statements leave nothing open, whatever COMMIT does", async (t) => {
    await withGlobals(t, server, { autocommit: 0, completion_type: "CHAIN" });
    const setup = await createDatabase(server);
    const { store } = await startStore(t, setup.place, {
      templates: { ...DEFAULT_TEMPLATES, delete_message_sql: "delete from mqtt_msg where msgid = ${id} and 1 = 1" },
    });
    const [first, second] = sampleMessages("t", 2) as [Message, Message];
    await store.saveMessage(first);
    await store.deleteMessages([first]);
    await store.saveMessage(second);
    const rows = await setup.with((client) => client.query("SELECT msgid FROM mqtt_msg"));
    assert.deepEqual(rows, [{ msgid: second.id }]);
  });
});

describe("settings that a server has from its start", { skip: mariadbSkip("plain") }, () => {
  const scope = inReverse({ after });
  let server: MariadbServer;
  before(async () => {
    server = await MariadbServer.start(scope, {
      timeZone: "America/New_York",
      directives: {
        ...QUICK,
        lower_case_table_names: 1,
        character_set_client_handshake: 0,
        character_set_server: "latin1",
        collation_server: "latin1_swedish_ci",
      },
    });
  });

  for (const [kind, options] of Object.entries({ "EMQX's tables": {}, "the store's own": EMPTY_DATABASE })) {
    test(`a machine in New York, names in lower case, and a server of latin1 that does not ask its clients: ${kind}`, async (t) => {
      const database = `Mqtt_${kind.replace(/\W/g, "")}`;
      await keepsEverything(t, await createDatabase(server, { ...options, database }), { hasSummerTime: true });
    });
  }

  test("a table that a template names with other letters than the server", async (t) => {
    const schema =
      "CREATE TABLE Inbox (Seq BIGINT AUTO_INCREMENT PRIMARY KEY, Uid VARCHAR(64), Path VARCHAR(20), Body BLOB, name INT)";
    const setup = await createDatabase(server, { schema });
    const { store } = await startStore(t, setup.place, {
      templates: {
        ...DEFAULT_TEMPLATES,
        insert_message_sql: "insert into INBOX(UID, PATH, BODY) values(${id}, ${topic}, ${payload})",
        select_message_sql:
          "select Seq as id, Uid as msgid, Path as topic, Body as payload from inBox where path = ${topic}",
        delete_message_sql: "delete from inbox where uid = ${id}",
        select_subscriptions_sql: "select 't' as topic, 1 as qos from Inbox where Uid = ${clientid}",
        insert_subscription_sql: "insert into Inbox(Uid, Path, Seq) values(${clientid}, ${topic}, ${qos})",
        delete_subscription_sql: "delete from Inbox where Uid = ${clientid} and Path = ${topic}",
      },
    });
    await store.saveMessage(sampleMessage("t/1", "one"));
    await store.saveMessage(sampleMessage("t/2", "two"));
    assert.deepEqual(await payloads(store, "t/+"), ["one", "two"]);
    const listed = await listAll(store, { topicFilter: "#", limit: 9 });
    assert.deepEqual(
      listed.map(({ topic, messages }) => [topic, messages]),
      [
        ["t/1", 1],
        ["t/2", 1],
      ],
    );
    // Its columns are found by that name.
    await assert.rejects(store.saveMessage(sampleMessage("t".repeat(21))), {
      code: "STORE_INVALID",
      message: /20 char/,
    });
  });
});
