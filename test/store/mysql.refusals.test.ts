// MySQL is there but refuses: for want of connections, room, rights or a table, for locks, deadlocks and sizes.

import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { describe, test } from "node:test";
import { StoreTooLargeError, StoreUnavailableError } from "../../src/store/errors.ts";
import {
  loginOf,
  type MariadbSetup,
  mariadbSkip,
  STORE_PASSWORD,
  STORE_RIGHTS,
  startPlain,
} from "../support/mariadb.ts";
import type { MariadbClient } from "../support/mariadb-client.ts";
import { waitFor } from "../support/wait-for.ts";
import {
  assertRecovered,
  assertStoredOnce,
  blockedSession,
  endSessions,
  HANGS,
  sessions,
  startPublishing,
  TIMEOUT,
} from "./mysql-faults.ts";
import { startStore } from "./mysql-stores.ts";
import { ORIGINAL_SCHEMA } from "./original/schema.ts";
import { assertTold, Publishing } from "./publishing.ts";
import { keyOf, payloads, readAll, sampleMessage, sampleMessages, saveAll } from "./sample-messages.ts";

function ignoreTooMany(error: unknown): undefined {
  if ((error as { code?: unknown }).code !== "ER_CON_COUNT_ERROR") throw error;
}

/** How many connections of the store there may be at a time from the next one on; 0: any number. */
function allowConnections(administrator: MariadbClient, { place }: MariadbSetup, count: number): Promise<unknown> {
  return administrator.query(`ALTER USER '${place.username}'@'%' WITH MAX_USER_CONNECTIONS ${count}`);
}

describe("MySQL refuses", { skip: mariadbSkip("plain") }, () => {
  test("connections at the start: max_connections is reached", async (t) => {
    const { server, place } = await startPlain(t, { directives: { max_connections: 10 } });
    // The last connection is the administrator's; the one that made the database may still be ending.
    const others: MariadbClient[] = [];
    await waitFor(
      async () => {
        const other = await server.connect(loginOf(place)).catch(ignoreTooMany);
        if (other !== undefined) others.push(other);
        return others.length === 10;
      },
      { what: "every connection to be taken" },
    );
    const { store, healths } = await startStore(t, place, { timeout: TIMEOUT });
    assert.match(store.health().error?.message ?? "ok", /max_connections/);
    await assert.rejects(store.saveMessage(sampleMessage("t")), /max_connections/);
    for (const other of others) other.close();
    await assertTold(store, healths, 1);
    await store.saveMessage(sampleMessage("t"));
  });

  test("all connections but one, at the start and when the store connects again: that does all", async (t) => {
    const setup = await startPlain(t);
    const administrator = await setup.server.connect();
    const allow = (count: number) => allowConnections(administrator, setup, count);
    await allow(1);
    const started = await startPublishing(t, setup);
    assert.ok((await readAll(started.store, "a")).length > 0);
    await allow(0);
    await waitFor(async () => (await sessions(administrator, setup)).length === 4, { what: "connections for reads" });
    await allow(1);
    await endSessions(administrator, setup);
    await started.publishing.goesOn(20);
    assert.ok((await readAll(started.store, "a")).length > 0);
    await assertRecovered(started, "any");
    assert.ok(started.healths.length <= 2, "told once");
  });

  test("a connection to the writer, while those for reads have all that are allowed", async (t) => {
    const setup = await startPlain(t);
    const administrator = await setup.server.connect();
    const allow = (count: number) => allowConnections(administrator, setup, count);
    // Connections from before there is a limit do not count.
    await allow(4);
    const started = await startPublishing(t, setup);
    const ids = async (): Promise<number[]> => (await sessions(administrator, setup)).map(({ id }) => Number(id));
    await waitFor(async () => (await ids()).length === 4, { what: "connections for reads" });
    await allow(1);
    // The writer was the first to connect.
    await administrator.query(`KILL ${Math.min(...(await ids()))}`);
    await assertRecovered(started, "any");
    assert.ok((await readAll(started.store, "a")).length > 0);
    assert.equal((await ids()).length, 1);
  });

  for (const [name, take, give] of [
    [
      "the password, changed and changed back",
      "ALTER USER USER() IDENTIFIED BY 'another'",
      `ALTER USER USER() IDENTIFIED BY '${STORE_PASSWORD}'`,
    ],
    ["the user, whose account is locked", "ALTER USER USER() ACCOUNT LOCK", "ALTER USER USER() ACCOUNT UNLOCK"],
  ] as const) {
    test(name, async (t) => {
      const setup = await startPlain(t);
      const started = await startPublishing(t, setup);
      const administrator = await setup.server.connect();
      const user = `'${setup.place.username}'@'%'`;
      await administrator.query(take.replace("USER()", user));
      await endSessions(administrator, setup);
      await started.publishing.isRefused();
      await waitFor(async () => /password|account/.test((await started.store.checkHealth()).error?.message ?? ""), {
        what: "the cause",
      });
      await administrator.query(give.replace("USER()", user));
      await assertRecovered(started);
    });
  }

  for (const right of STORE_RIGHTS.split(", ")) {
    test(`the right to ${right}, revoked and granted`, async (t) => {
      const setup = await startPlain(t);
      const started = await startPublishing(t, setup);
      const user = `'${setup.place.username}'@'%'`;
      await setup.with((client) => client.query(`REVOKE ${right} ON mqtt_msg FROM ${user}`));
      if (right === "INSERT") assert.match((await started.publishing.isRefused()).message, /right/);
      else if (right !== "UPDATE") {
        const call =
          right === "SELECT" ? readAll(started.store, "a") : started.store.deleteMessages([keyOf(sampleMessage("a"))]);
        await assert.rejects(call, /right/);
        assert.match(
          (await started.store.checkHealth()).error?.message ?? "ok",
          /right/,
          "that other things work heals nothing",
        );
      }
      for (let looks = 0; looks < 3; looks++) {
        assert.equal((await started.store.checkHealth()).status, right === "UPDATE" ? "ok" : "error");
      }
      await setup.with((client) => client.query(`GRANT ${right} ON mqtt_msg TO ${user}`));
      await assertRecovered(started, right === "UPDATE" ? 0 : 1);
    });
  }

  test("rights to the whole database that come after the store has connected", async (t) => {
    const setup = await startPlain(t, { tableRights: "", databaseRights: "SELECT" });
    const { store, healths } = await startStore(t, setup.place, { timeout: TIMEOUT });
    await assert.rejects(store.saveMessage(sampleMessage("t")), /right/);
    const user = `'${setup.place.username}'@'%'`;
    await setup.with((client) => client.query(`GRANT ${STORE_RIGHTS} ON \`${setup.place.database}\`.* TO ${user}`));
    await assertTold(store, healths, 1);
    await store.saveMessage(sampleMessage("t"));
  });

  test("CREATE, while both tables are there: init_default_schema does not need it", async (t) => {
    const setup = await startPlain(t);
    const { store } = await startStore(t, setup.place, { timeout: TIMEOUT, initDefaultSchema: true });
    await store.saveMessage(sampleMessage("t"));
    assert.equal(store.health().status, "ok", store.health().error?.message);
  });

  test("writes, while it is read-only: reads go on", async (t) => {
    const setup = await startPlain(t);
    const started = await startPublishing(t, setup);
    await setup.with((client) => client.query("SET GLOBAL read_only = 1"));
    assert.match((await started.publishing.isRefused()).message, /read-only/);
    assert.ok((await readAll(started.store, "a")).length > 0);
    assert.match((await started.store.checkHealth()).error?.message ?? "ok", /read-only/);
    await setup.with((client) => client.query("SET GLOBAL read_only = 0"));
    await assertRecovered(started);
  });

  for (const initDefaultSchema of [false, true]) {
    test(`a table that was dropped and is made again${initDefaultSchema ? " by the store" : ""}`, async (t) => {
      const setup = await startPlain(t, initDefaultSchema ? { databaseRights: "CREATE, SELECT, INSERT, DELETE" } : {});
      const started = await startPublishing(t, setup, { initDefaultSchema });
      await setup.with((client) => client.query("DROP TABLE mqtt_msg"));
      assert.match((await started.publishing.isRefused()).message, /table/);
      started.publishing.acknowledged.length = 0;
      if (!initDefaultSchema) {
        assert.match((await started.store.checkHealth()).error?.message ?? "ok", /table/);
        await setup.with((client) => client.script(ORIGINAL_SCHEMA));
      }
      await assertRecovered(started);
    });
  }

  test("a lock wait that takes too long: saves are refused, health says so until the lock is gone", async (t) => {
    const setup = await startPlain(t);
    const started = await startPublishing(t, setup, { timeout: 4_000 });
    const locker = await setup.server.connect({ database: setup.place.database });
    await locker.query("LOCK TABLES mqtt_msg WRITE");
    assert.match((await started.publishing.isRefused()).message, /locked/);
    await locker.query("UNLOCK TABLES");
    await started.publishing.goesOn(20);
    await started.publishing.end();
    assert.equal(started.publishing.refusedInHealth, 0);
    await assertStoredOnce(setup);
    await assertTold(started.store, started.healths, 1);
  });

  test("a lock that ends while nobody publishes: the health is ok again by itself", async (t) => {
    const setup = await startPlain(t);
    const { store, healths } = await startStore(t, setup.place, { timeout: 2_000 });
    const locker = await setup.server.connect({ database: setup.place.database });
    await locker.query("LOCK TABLES mqtt_msg WRITE");
    await assert.rejects(store.saveMessage(sampleMessage("t")), /locked by somebody else/);
    assert.equal(store.health().status, "error");
    await locker.query("UNLOCK TABLES");
    await waitFor(() => store.health().status === "ok", { what: "health ok" });
    assert.deepEqual(
      healths.map(({ status }) => status),
      ["error", "ok"],
    );
  });

  for (const [name, lock] of [
    ["rows that somebody else has locked", "SELECT id FROM mqtt_msg WHERE topic = 'a' FOR UPDATE"],
    ["a table that somebody else has locked", "LOCK TABLES mqtt_msg WRITE"],
  ] as const) {
    test(`${name}, for longer than the timeout`, async (t) => {
      const setup = await startPlain(t);
      const started = await startPublishing(t, setup);
      const locker = await setup.server.connect({ database: setup.place.database });
      await locker.query("BEGIN");
      await locker.query(lock);
      await started.publishing.isRefused();
      locker.close();
      await assertRecovered(started, "any");
    });
  }

  test("a removal of a row that is locked: it alone is refused, and the health is ok", async (t) => {
    const setup = await startPlain(t);
    const { store, healths } = await startStore(t, setup.place, { timeout: 4_000 });
    const messages = sampleMessages("t", 10);
    await saveAll(store, messages);
    const locker = await setup.server.connect({ database: setup.place.database });
    await locker.query("BEGIN");
    await locker.query("SELECT id FROM mqtt_msg WHERE id = 1 FOR UPDATE");
    await assert.rejects(store.deleteMessages(messages.slice(0, 1).map(keyOf)), StoreUnavailableError);
    await locker.query("ROLLBACK");
    await store.deleteMessages(messages.map(keyOf));
    assert.deepEqual(await payloads(store, "t"), []);
    assert.deepEqual(healths, []);
  });

  test("a transaction because of a deadlock: it is tried again, and nobody is told", async (t) => {
    const setup = await startPlain(t);
    const { store, healths } = await startStore(t, setup.place);
    const messages = sampleMessages("t", 2);
    for (const message of messages) await store.saveMessage(message);
    const other = await setup.server.connect({ database: setup.place.database });
    const administrator = await setup.server.connect();
    // The transaction of the other one is the heavier: it has changed many rows.
    await other.query("CREATE TABLE weight (n INT) ENGINE=InnoDB");
    await other.query("BEGIN");
    await other.query("INSERT INTO weight SELECT seq FROM seq_1_to_2000");
    await other.query("SELECT id FROM mqtt_msg WHERE id = 2 FOR UPDATE");
    const removal = store.deleteMessages(messages.map(keyOf));
    await blockedSession(administrator, setup);
    await other.query("SELECT id FROM mqtt_msg WHERE id = 1 FOR UPDATE");
    const [status] = await administrator.query("SHOW ENGINE INNODB STATUS");
    assert.match(String(status?.Status), /LATEST DETECTED DEADLOCK/);
    await other.query("ROLLBACK");
    await removal;
    assert.deepEqual(await payloads(store, "t"), []);
    assert.deepEqual(healths, []);
  });

  test("its folder of temporary tables is gone: what needs one is refused with the reason, and the rest works", async (t) => {
    const setup = await startPlain(t);
    const started = await startPublishing(t, setup);
    const { store, publishing, healths } = started;
    const administrator = await setup.server.connect();
    const connections = await sessions(administrator, setup);
    rmSync(setup.server.temporaryFiles, { recursive: true });
    // It has columns that a table in memory cannot have.
    await assert.rejects(
      administrator.query("SELECT * FROM information_schema.PROCESSLIST"),
      ({ errno }: { errno?: number }) => (errno ?? 0) < 1000,
    );
    await publishing.goesOn(20);
    assert.deepEqual(healths, []);
    // A connection that is made asks for its own identity there.
    for (const { id } of connections) await administrator.query(`KILL ${id}`);
    await publishing.isRefused();
    await waitFor(() => /cannot use one of its files.*tmp/.test(store.health().error?.message ?? ""), {
      what: "the reason",
    });
    mkdirSync(setup.server.temporaryFiles);
    await assertRecovered(started);
  });

  test("a batch larger than max_allowed_packet: it goes in parts, and a message that is larger is refused alone", async (t) => {
    const setup = await startPlain(t, { directives: { max_allowed_packet: 32 * 1024 } });
    const { store, healths } = await startStore(t, setup.place, { timeout: HANGS });
    const messages = sampleMessages("t", 50).map((message) => ({ ...message, payload: Buffer.alloc(4_000) }));
    const tooLarge = sampleMessage("t", Buffer.alloc(40_000));
    const all = [...messages.slice(0, 25), tooLarge, ...messages.slice(25)];
    const outcomes = await Promise.allSettled(all.map((message) => store.saveMessage(message)));
    const refused = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
    assert.equal(refused.length, 1);
    assert.ok(refused[0] instanceof StoreTooLargeError, String(refused[0]));
    assert.deepEqual(
      (await readAll(store, "t")).map(({ message }) => message.id),
      messages.map(({ id }) => id),
    );
    assert.deepEqual(healths, []);
  });

  test("what has no room: messages are refused, removed ones make room", async (t) => {
    const setup = await startPlain(t, {
      directives: {
        innodb_file_per_table: 0,
        innodb_data_file_path: "ibdata1:12M:autoextend:max:16M",
        innodb_undo_tablespaces: 2,
      },
    });
    const { store, healths } = await startStore(t, setup.place, { timeout: HANGS });
    const payload = Buffer.alloc(60_000);
    const stored: ReturnType<typeof sampleMessage>[] = [];
    const fill = async (): Promise<Error> => {
      for (;;) {
        const message = sampleMessage("t", payload);
        try {
          await store.saveMessage(message);
          stored.push(message);
        } catch (error) {
          return error as Error;
        }
      }
    };
    const error = await fill();
    assert.ok(error instanceof StoreUnavailableError, String(error));
    assert.match(error.message, /no room left/);
    assert.equal(store.health().status, "error");
    for (const message of stored.splice(0, 3)) {
      await store.deleteMessages([keyOf(message)]);
      assert.equal((await store.checkHealth()).status, "error", "removing says nothing of room");
    }
    assert.equal((await readAll(store, "t")).length, stored.length);
    await store.deleteMessages(stored.splice(0, stored.length / 2).map(keyOf));
    assert.equal((await store.checkHealth()).status, "error", "until a message is saved");
    // The room of removed rows is free once InnoDB has purged them.
    await setup.with((client) =>
      waitFor(
        async () => {
          const [status] = await client.query("SHOW ENGINE INNODB STATUS");
          return /History list length 0\b/.test(String(status?.Status));
        },
        { what: "the purge" },
      ),
    );
    const publishing = new Publishing(t, store, ["t"]);
    await publishing.goesOn(20);
    await publishing.end();
    await assertTold(store, healths, 1);
    await assertStoredOnce(setup);
    assert.equal((await readAll(store, "t")).length, stored.length + publishing.acknowledged.length);
  });
});
