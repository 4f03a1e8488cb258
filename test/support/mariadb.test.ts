// The MariaDB servers, the client and the recorded rows that other tests rely on.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import {
  expected,
  loadOriginalMysql,
  messageRows,
  originalMysqlMessages,
  originalRows,
  originalSubscriptionRows,
  subscriptionRows,
} from "../store/original-mysql-data.ts";
import { startChild } from "./child.ts";
import {
  createDatabase,
  loginOf,
  type MariadbPlace,
  type MariadbSetup,
  mariadbSetups,
  mariadbSkip,
  STORE_PASSWORD,
  startPlain,
} from "./mariadb.ts";
import { MariadbClient } from "./mariadb-client.ts";
import { MariadbServer } from "./mariadb-server.ts";
import { inReverse, type Scope, temporaryDirectory } from "./temporary-directory.ts";
import { waitFor } from "./wait-for.ts";

const skip = mariadbSkip("plain");

const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const AWKWARD_TOPIC = "t/ü/日本/😀/\\'\"`%_";
const INSERT = "INSERT INTO mqtt_msg (topic, payload, arrived) VALUES (?, ?, NOW())";

/** A connection with the store's login, closed after the test. */
async function connectAs(scope: Scope, place: MariadbPlace): Promise<MariadbClient> {
  const client = await MariadbClient.connect(loginOf(place));
  scope.after(() => client.close());
  return client;
}

async function topicsOf({ with: withClient }: MariadbSetup): Promise<unknown[]> {
  const rows = await withClient((client) => client.query("SELECT topic FROM mqtt_msg ORDER BY id"));
  return rows.map(({ topic }) => topic);
}

describe("set-ups", { concurrency: true }, () => {
  for (const [name, start] of Object.entries(mariadbSetups)) {
    test(name, { skip: mariadbSkip(name as keyof typeof mariadbSetups) }, async (t) => {
      let setup: MariadbSetup | undefined;
      await t.test("works", async (inner) => {
        setup = await start(inner);
        assert.equal(setup.server.isRunning, true);
        assert.match(setup.server.log, /ready for connections/);
        const client = await connectAs(inner, setup.place);
        await client.query(INSERT, [AWKWARD_TOPIC, ALL_BYTES]);
        await client.query("INSERT INTO mqtt_sub VALUES ('c', 't', 1)");
        const rows = await setup.with((administrator) => administrator.query("SELECT topic, payload FROM mqtt_msg"));
        assert.deepEqual(rows, [{ topic: AWKWARD_TOPIC, payload: ALL_BYTES }]);
        await setup.flush();
        assert.deepEqual(await client.query("SELECT 1 FROM mqtt_msg UNION ALL SELECT 1 FROM mqtt_sub"), []);
        await client.query(INSERT, ["next", ALL_BYTES]);
        assert.deepEqual(await client.query("SELECT id FROM mqtt_msg"), [{ id: 2 }]);
      });
      const { server, place } = setup as MariadbSetup;
      assert.equal(existsSync(`/proc/${server.pid}`), false, "ended with its test");
      assert.equal(existsSync(server.directory), false, "removed with its test");
      for (const file of [place.tls?.cacertfile, place.tls?.keyfile]) assert.equal(existsSync(file ?? ""), false);
      await assert.rejects(MariadbClient.connect({ ...loginOf({ ...place, tls: undefined }) }), {
        code: "ECONNREFUSED",
      });
    });
  }
});

describe("one server for several databases", { skip }, () => {
  const scope = inReverse({ after });
  let server: MariadbServer;
  before(async () => {
    server = await MariadbServer.start(scope);
  });

  test("the store's user may read and write rows of its tables, and nothing else", async (t) => {
    const { place } = await createDatabase(server);
    const other = await createDatabase(server);
    const client = await connectAs(t, place);
    await client.query("UPDATE mqtt_sub SET qos = 0");
    await client.query("DELETE FROM mqtt_sub");
    const grants = (await client.query("SHOW GRANTS")).map((row) => String(Object.values(row)[0]));
    assert.deepEqual(grants.map((grant) => grant.replace(/ TO .*/, "")).toSorted(), [
      `GRANT SELECT, INSERT, UPDATE, DELETE ON \`${place.database}\`.\`mqtt_msg\``,
      `GRANT SELECT, INSERT, UPDATE, DELETE ON \`${place.database}\`.\`mqtt_sub\``,
      "GRANT USAGE ON *.*",
    ]);
    for (const statement of [
      "CREATE TABLE mqtt_other (id int)",
      "ALTER TABLE mqtt_msg ADD COLUMN other int",
      "CREATE INDEX msgid_index ON mqtt_msg (msgid)",
      "TRUNCATE mqtt_msg",
      "DROP TABLE mqtt_sub",
      `SELECT * FROM ${other.place.database}.mqtt_msg`,
    ]) {
      await assert.rejects(client.query(statement), { code: "ER_TABLEACCESS_DENIED_ERROR" }, statement);
    }
    await assert.rejects(client.query(`USE ${other.place.database}`), { code: "ER_DBACCESS_DENIED_ERROR" });
    await assert.rejects(MariadbClient.connect({ ...loginOf(place), password: "wrong" }), {
      code: "ER_ACCESS_DENIED_ERROR",
    });
  });

  test("a database has the tables, the rights and the character set asked for", async (t) => {
    const options = { database: "Other-Name", characterSet: "utf8mb3", schema: "", databaseRights: "CREATE, INSERT" };
    const { place, flush, with: withClient } = await createDatabase(server, options);
    const client = await connectAs(t, place);
    assert.deepEqual(await client.query("SHOW TABLES"), []);
    await client.query("CREATE TABLE made (a int)");
    await client.query("INSERT INTO made VALUES (1)");
    await assert.rejects(client.query("SELECT * FROM made"), { code: "ER_TABLEACCESS_DENIED_ERROR" });
    assert.deepEqual(
      await withClient((administrator) => administrator.query("SELECT @@character_set_database c, a FROM made")),
      [{ c: "utf8mb3", a: 1 }],
    );
    await flush();
    assert.deepEqual(await withClient((administrator) => administrator.query("SELECT * FROM made")), []);
  });

  test("two servers share neither data nor processes, and end each by itself", async (t) => {
    const first = await createDatabase(server);
    let second: MariadbSetup | undefined;
    await t.test("side by side", async (inner) => {
      second = await startPlain(inner);
      assert.notEqual(second.server.port, server.port);
      assert.notEqual(second.server.pid, server.pid);
      await second.with((client) => client.query(INSERT, ["second", ""]));
      await first.with((client) => client.query(INSERT, ["first", ""]));
      assert.deepEqual(await topicsOf(second), ["second"]);
    });
    assert.equal(second?.server.isRunning, false);
    assert.deepEqual(await topicsOf(first), ["first"]);
  });
});

test("a server that is killed comes back on the same port with what was committed", { skip }, async (t) => {
  const setup = await startPlain(t);
  const { server } = setup;
  const open = await server.connect({ database: setup.place.database });
  await open.query(INSERT, ["committed", ALL_BYTES]);
  await open.query("START TRANSACTION");
  await open.query(INSERT, ["not committed", ALL_BYTES]);
  const killed = server.pid;
  await server.kill();
  assert.equal(server.isRunning, false);
  await assert.rejects(server.connect(), { code: "ECONNREFUSED" });
  await assert.rejects(open.query("SELECT 1"));
  await server.restart({ max_connections: 11 });
  assert.notEqual(server.pid, killed);
  assert.deepEqual(await topicsOf(setup), ["committed"]);
  const limit = () => server.with((client) => client.query("SELECT @@global.max_connections n"));
  assert.deepEqual(await limit(), [{ n: 11 }]);
  await server.stop();
  assert.match(server.log, /Shutdown complete/);
  await server.restart();
  assert.deepEqual(await limit(), [{ n: 151 }]);
  assert.deepEqual(await topicsOf(setup), ["committed"]);

  const client = await server.connect();
  server.pause();
  let isAnswered = false;
  const answer = client.query("SELECT 1").then(() => {
    isAnswered = true;
  });
  await waitFor(() => server.state === "T", { what: "a stopped process" });
  assert.equal(isAnswered, false);
  server.continue();
  await answer;
});

test("TLS is asked of everybody, and a certificate of the store's user", { skip: mariadbSkip("TLS") }, async (t) => {
  const { place, server } = await mariadbSetups.TLS(t);
  const login = loginOf(place);
  const tls = { ca: login.tls?.ca as Buffer, servername: place.tls?.serverNameIndication };
  const client = await connectAs(t, place);
  const [cipher] = await client.query("SHOW STATUS LIKE 'Ssl_cipher'");
  assert.match(String(cipher?.Value), /\w/);
  await assert.rejects(MariadbClient.connect({ ...login, tls }), { code: "ER_ACCESS_DENIED_ERROR" });
  await assert.rejects(MariadbClient.connect({ ...login, tls: undefined }), { code: "ER_ACCESS_DENIED_ERROR" });
  // Of the administrator no certificate is asked: that TLS is missing is what is refused. Newer servers have a code for it.
  await assert.rejects(
    server.with(async () => {}, { tls: undefined }),
    { code: /^ER_(ACCESS_DENIED_ERROR|SECURE_TRANSPORT_REQUIRED)$/ },
  );
  await assert.rejects(MariadbClient.connect({ ...login, tls: { ...tls, servername: "another.example" } }), {
    message: /does not match certificate's altnames/,
  });
  const { username } = place;
  await assert.rejects(
    server.with(async () => {}, { username, password: STORE_PASSWORD }),
    {
      code: "ER_ACCESS_DENIED_ERROR",
    },
  );
});

test("rows of the original are loaded byte by byte, whatever the server's defaults are", { skip }, async (t) => {
  const setup = await startPlain(t, {
    directives: {
      sql_mode: "NO_BACKSLASH_ESCAPES",
      default_time_zone: "+05:45",
      autocommit: 0,
      lower_case_table_names: 1,
      innodb_file_per_table: 0,
      innodb_data_file_path: "ibdata1:12M:autoextend:max:16M",
      max_allowed_packet: "256K",
      read_only: 1,
    },
    timeZone: "America/New_York",
  });
  await setup.with(loadOriginalMysql);
  assert.deepEqual(await setup.with(messageRows), originalRows);
  assert.deepEqual(await setup.with(subscriptionRows), originalSubscriptionRows);
  assert.deepEqual(
    originalMysqlMessages().map(({ from, topic, qos, retain, payload }) => {
      const payload_base64 = Buffer.from(payload).toString("base64");
      return { sender: from, topic, qos, retain, payload_base64 };
    }),
    expected.stored_in_order.map(({ sender, topic, qos, retain, payload_base64 }) => {
      return { sender, topic, qos, retain, payload_base64 };
    }),
  );
  const newest = Math.max(...originalMysqlMessages().map(({ timestamp }) => timestamp));
  assert.ok(Math.abs(Date.now() - newest) < 60_000, "as if stored just now");
  const [now] = await setup.with((client) =>
    client.query("SELECT @@system_time_zone zone, UTC_TIMESTAMP() utc, NOW() now"),
  );
  assert.match(String(now?.zone), /^E[SD]T$/);
  assert.equal(now?.now, now?.utc, "the administrator's session keeps UTC");

  const client = await connectAs(t, setup.place);
  await assert.rejects(client.query(INSERT, ["t", ""]), { code: "ER_OPTION_PREVENTS_STATEMENT" });
  // InnoDB is full.
  await setup.with(async (administrator) => {
    const fill = async () => {
      for (let number = 0; number < 200; number++) {
        await administrator.query(INSERT, ["t", Buffer.alloc(60_000)]);
      }
    };
    await assert.rejects(fill(), { code: "ER_RECORD_FILE_FULL" });
  });
});

test("a server ends with the process that started it, however that ends", { skip }, async (t) => {
  const directory = temporaryDirectory(t);
  const module = new URL("./mariadb-server.ts", import.meta.url).href;
  const script = `
    const { MariadbServer } = await import(${JSON.stringify(module)});
    const { pid } = await MariadbServer.start({ after() {} });
    console.log("server " + pid);
    setInterval(() => {}, 1000);
  `;
  const env = { ...process.env, TMPDIR: directory };
  const starter = startChild(t, process.execPath, ["--input-type=module", "-e", script], { env });
  const [, pid] = await starter.output(/server (\d+)/, 30_000);
  assert.equal(existsSync(`/proc/${pid}`), true);
  await starter.stop("SIGKILL");
  await waitFor(() => !existsSync(`/proc/${pid}`), { what: "the end of the server" });
});
