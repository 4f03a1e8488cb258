// `omp broker` on MySQL: what it says of the store, and SQL templates that the server refuses.

import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  createDatabase,
  type MariadbPlace,
  mariadbSkip,
  mysqlConfiguration,
  STORE_RIGHTS,
  startPlain,
} from "../support/mariadb.ts";
import { MariadbServer } from "../support/mariadb-server.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { runOmp, startBrokerWith } from "../support/omp.ts";
import { SilentServer } from "../support/silent-server.ts";
import { inReverse, type Scope, temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

/** Runs `omp broker`, which is to end by itself. */
async function refusedStart(scope: Scope, configuration: string) {
  const directory = temporaryDirectory(scope);
  const file = join(directory, "given.hocon");
  writeFileSync(file, configuration);
  const dataDirectory = join(directory, "data");
  const { code, stdout, stderr } = await runOmp(["broker", "--data-dir", dataDirectory, "--plugin-config", file]);
  assert.deepEqual({ code, stdout }, { code: 2, stdout: "" }, stderr);
  assert.equal(existsSync(dataDirectory), false, "nothing was started");
  return stderr.replaceAll(file, "FILE").trimEnd().split("\n");
}

describe("omp broker on MySQL", { skip: mariadbSkip("plain") }, () => {
  const scope = inReverse({ after });
  let server: MariadbServer;
  let place: MariadbPlace;
  before(async () => {
    server = await MariadbServer.start(scope);
    place = (await createDatabase(server)).place;
  });

  test("it says where messages are, and warns of subscription_ttl", async (t) => {
    const configuration = `${mysqlConfiguration(place, "message_ttl = 7200")}subscription_ttl = 60\n`;
    const { child } = await startBrokerWith(t, configuration);
    assert.match(child.stdout, /^ {2}stores {2}QoS 1 and 2 of #, each message for up to 2 hours$/m);
    const where = `  in      MySQL at ${place.host}:${place.port}, database ${place.database}\n`;
    assert.ok(child.stdout.includes(where), child.stdout);
    await child.output(/warn .*subscription_ttl has no effect with mysql: /);
  });

  test("templates that the server refuses end it with their names, lines and the server's message", async (t) => {
    const rest = [
      'delete_message_sql = "delete from mqtt_msg where messageid = ${id}"',
      'select_message_sql = "select topic, topic from mqtt_msg where topic = ${topic}"',
      'select_topics_sql = "selct topic from mqtt_msg"',
    ].join("\n");
    const lines = await refusedStart(t, mysqlConfiguration(place, rest));
    assert.equal(lines.length, 3, lines.join("\n"));
    const [first = "", second = "", third = ""] = lines;
    assert.match(
      first,
      /^omp: FILE:8: mysql\.delete_message_sql is refused by the server, .*Unknown column 'messageid'/,
    );
    assert.match(second, /^omp: FILE:9: mysql\.select_message_sql is refused .*Duplicate column name 'topic'/);
    assert.match(third, /^omp: FILE:10: mysql\.select_topics_sql is refused .*error in your SQL syntax/);
  });

  test("a template that a server refuses which comes up later is told in the log", async (t) => {
    const { server, place } = await startPlain(t);
    await server.kill();
    const mistake = 'select_topics_sql = "selct topic from mqtt_msg"';
    const { child } = await startBrokerWith(t, mysqlConfiguration(place, mistake));
    await child.output(/error the store is away: .*cannot be reached/);
    await server.restart();
    await child.output(/error the store is still away: mysql\.select_topics_sql is refused by the server/);
  });

  test("subscriptions that the table takes for others are told once, and counted", async (t) => {
    const { place } = await createDatabase(server);
    const broker = await startBrokerWith(t, mysqlConfiguration(place));
    const { client } = await connectClient(t, broker.address, { clientId: "c" });
    for (const topic of ["t/a", "t/A", "t/ä", "t/b"]) await client.subscribeAsync(topic, { qos: 1 });
    const collided = async () => {
      const text = await (await fetch(broker.metricsUrl ?? "")).text();
      return /^omp_plugin_subscriptions_collided_total (\d+)$/m.exec(text)?.[1];
    };
    await waitFor(async () => (await collided()) === "2", { what: "two collisions" });
    const told = broker.child.stderr.match(/a subscription is not stored, since the table takes it for one that/g);
    assert.equal(told?.length, 1, broker.child.stderr);
  });

  test("a table that is missing, a wrong password, and a server that is away or says nothing are for the log and the greeting", async (t) => {
    const silent = await SilentServer.start(t);
    const empty = await createDatabase(server, { schema: "", tableRights: "", databaseRights: STORE_RIGHTS });
    const cases: readonly [RegExp, MariadbPlace][] = [
      [/A table is missing in MySQL/, empty.place],
      [/may not use the database, or there is none of this name/, { ...place, database: "nowhere" }],
      [/does not accept the user name and password/, { ...place, password: "wrong" }],
      [/cannot be reached/, { ...place, port: 1 }],
      [/MySQL at .* cannot be reached/, { ...place, port: silent.port }],
    ];
    for (const [told, at] of cases) {
      const { child, stop } = await startBrokerWith(t, `${mysqlConfiguration(at)}store_timeout = 500\n`);
      await child.output(new RegExp(`the store is away: .*${told.source}`));
      assert.match(child.stdout.match(/^ {2}away {4}(.*)$/m)?.[1] ?? "not there", told);
      await stop();
    }
  });
});
