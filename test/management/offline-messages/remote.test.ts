// Stored messages over HTTP where they are in Redis, and in MySQL on the tables of EMQX's plugin.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { mariadbSkip, mysqlConfiguration, startPlain } from "../../support/mariadb.ts";
import { connectClient } from "../../support/mqtt-client.ts";
import { redisConfiguration, redisSkip, startSingleWithRights } from "../../support/redis.ts";
import type { Scope } from "../../support/temporary-directory.ts";
import { waitFor } from "../../support/wait-for.ts";
import { allPages, type Json, refused, startMessageBroker } from "./message-broker.ts";

interface Setting {
  readonly name: string;
  readonly skip: string | false;
  readonly configuration: (scope: Scope) => Promise<{ configuration: string; stop: () => Promise<unknown> }>;
  readonly listsClients: boolean;
  /** Whether a message is found by its id alone, once the broker that stored it has ended. */
  readonly findsById: boolean;
  readonly where: RegExp;
}

const settings: readonly Setting[] = [
  {
    name: "Redis",
    skip: redisSkip("single, ACL"),
    async configuration(scope) {
      const { place, servers } = await startSingleWithRights(scope);
      return { configuration: redisConfiguration(place), stop: async () => servers[0]?.kill() };
    },
    listsClients: false,
    findsById: true,
    where: /Redis/,
  },
  {
    name: "MySQL",
    skip: mariadbSkip("plain"),
    async configuration(scope) {
      const { place, server } = await startPlain(scope);
      return { configuration: mysqlConfiguration(place), stop: () => server.kill() };
    },
    listsClients: true,
    findsById: false,
    where: /MySQL/,
  },
];

for (const { name, skip, configuration, listsClients, findsById, where } of settings) {
  describe(name, { skip }, () => {
    test("messages are listed, shown, removed, exported and imported; subscriptions are shown", async (t) => {
      const { configuration: config, stop } = await configuration(t);
      const broker = await startMessageBroker(t, `${config}\nstore_timeout = 3000\nsqlite.enable = false`);
      const { client } = broker.publisher;
      for (let at = 0; at < 30; at++) await client.publishAsync(`t/${at % 3}`, String(at), { qos: 1 });
      const [first, ...others] = await allPages(broker, "/topics", { topic: "t/+", limit: 2 });
      const { oldest_publish_at: oldest, newest_publish_at: newest, ...counts } = first as Json;
      assert.deepEqual(counts, { topic: "t/0", messages: 10, bytes: 4 + 6 * 2 });
      assert.ok(Number(oldest) > 0 && Number(oldest) <= Number(newest));
      assert.equal(others.length, 2);
      const messages = await allPages(broker, "/messages", { topic: "t/#", limit: 7, payload: "plain" });
      assert.deepEqual(
        messages.map(({ payload }) => payload),
        Array.from({ length: 30 }, (_, at) => String(at)),
      );
      const [{ msgid, topic }] = messages as [{ msgid: string; topic: string }];

      const subscriber = await connectClient(t, broker.address, { clientId: "c" });
      await subscriber.client.subscribeAsync("none", { qos: 1 });
      await waitFor(async () => (await broker.get("/subscriptions/c")).status === 200, {
        what: "its row",
      });
      const clients = await broker.get("/subscriptions");
      if (listsClients) assert.deepEqual((clients.body as { data: unknown }).data, [{ clientid: "c" }]);
      else assert.match(refused(clients, 501, "NOT_SUPPORTED"), /ask for one client/);

      // Another broker has not seen where the messages are.
      const other = await startMessageBroker(t, `${config}\nstore_timeout = 3000\nsqlite.enable = false`);
      const found = await other.get(`/messages/${msgid}`, { payload: "plain" });
      if (findsById) assert.deepEqual(found.body, messages[0]);
      else assert.match(refused(found, 400, "BAD_REQUEST"), /give its topic/);
      assert.deepEqual((await other.get(`/messages/${msgid}`, { topic, payload: "plain" })).body, messages[0]);
      await other.stop();

      assert.equal((await broker.send("DELETE", `/messages/${msgid}`)).status, 204);
      refused(await broker.get(`/messages/${msgid}`, { topic }), 404, "NOT_FOUND");
      const exported = await broker.export("t/#");
      assert.equal(exported.trim().split("\n").length, 29);
      const counted = await broker.send("POST", "/purge", { body: { topic: "t/#" } });
      assert.deepEqual(counted.body, { dry_run: true, messages: 29, bytes: 49, complete: true });
      const purged = await broker.send("POST", "/purge", { body: { topic: "t/#", dry_run: false } });
      assert.deepEqual(purged.body, { dry_run: false, messages: 29, bytes: 49, complete: true });
      const { body } = await broker.import(exported);
      assert.deepEqual(body, { lines: 29, stored: 29, already_stored: 0, expired: 0, failed: 0, errors: [] });
      assert.equal(((await broker.import(exported)).body as Json).already_stored, 29);
      assert.equal(withoutTimes(await broker.export("t/#")), withoutTimes(exported));
      await subscriber.client.subscribeAsync("t/#", { qos: 1 });
      await subscriber.received(29);
      assert.deepEqual(
        subscriber.payloads,
        Array.from({ length: 29 }, (_, at) => String(at + 1)),
      );

      await stop();
      assert.match(refused(await broker.get("/topics"), 503, "SERVICE_UNAVAILABLE"), where);
      refused(await broker.get("/export"), 503, "SERVICE_UNAVAILABLE");
    });
  });
}

describe("MySQL with templates of the user's", { skip: mariadbSkip("plain") }, () => {
  test("that give no id: a purge says when something is left", async (t) => {
    const { place } = await startPlain(t);
    const templates = [
      "max_backlog_per_topic = 5",
      'select_message_sql = "SELECT msgid, topic, payload, qos FROM mqtt_msg WHERE topic = ${topic}"',
    ];
    const broker = await startMessageBroker(
      t,
      `${mysqlConfiguration(place, templates.join("\n"))}\nsqlite.enable = false`,
    );
    for (let at = 0; at < 12; at++) await broker.publisher.client.publishAsync("t", "x", { qos: 1 });
    const purge = async (dry_run: boolean) =>
      (await broker.send("POST", "/purge", { body: { topic: "t", dry_run } })).body as Json;
    assert.deepEqual(await purge(true), { dry_run: true, messages: 12, bytes: 12, complete: true });
    const parts = [await purge(false), await purge(false), await purge(false)];
    assert.deepEqual(
      parts.map(({ messages, complete }) => [messages, complete]),
      [
        [5, false],
        [5, false],
        [2, true],
      ],
    );
  });

  test("that remove nothing: a purge ends, and says that something is left", async (t) => {
    const { place } = await startPlain(t);
    const template = 'delete_message_sql = "UPDATE mqtt_msg SET qos = qos WHERE msgid = ${id}"';
    const broker = await startMessageBroker(t, `${mysqlConfiguration(place, template)}\nsqlite.enable = false`);
    for (let at = 0; at < 3; at++) await broker.publisher.client.publishAsync("t", "x", { qos: 1 });
    const { body } = await broker.send("POST", "/purge", { body: { topic: "t", dry_run: false } });
    assert.deepEqual(body, { dry_run: false, messages: 3, bytes: 3, complete: false });
  });
});

/** The tables of EMQX's plugin have no room for parts of seconds. */
function withoutTimes(lines: string): string {
  return lines.replace(/"publish_at":\d+/g, "");
}
