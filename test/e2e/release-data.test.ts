// Data directories that earlier releases have left: this broker starts on them, and everybody gets what they are owed.

import assert from "node:assert/strict";
import { copyFileSync, globSync, mkdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import test from "node:test";
import { MIGRATIONS as BROKER_MIGRATIONS } from "../../src/broker/persistence/schema.ts";
import type { PublishPacket } from "../../src/mqtt/codec/packets.ts";
import { MIGRATIONS as STORE_MIGRATIONS } from "../../src/store/sqlite/migrations/migrations.ts";
import { databaseText } from "../../tools/release-data/database-text.ts";
import { RawClient, text } from "../broker/raw-client.ts";
import { PLUGIN_CONFIG_FILE, STORE_FILE, startBroker } from "../support/omp.ts";
import { type Scope, temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const FOLDERS = globSync(join(import.meta.dirname, "data/*/"));
const CENTURY = 100 * 365 * 24 * 3600;

/** A data directory with the files that the texts of a release describe. */
function dataDirectoryOf(scope: Scope, folder: string): string {
  const directory = temporaryDirectory(scope);
  mkdirSync(dirname(join(directory, STORE_FILE)), { recursive: true });
  for (const [name, file] of [
    ["broker.sql", "broker.db"],
    ["messages.sql", STORE_FILE],
  ] as const) {
    const database = new DatabaseSync(join(directory, file));
    database.exec(readFileSync(join(folder, name), "utf8"));
    database.close();
  }
  copyFileSync(join(folder, "config.hocon"), join(directory, PLUGIN_CONFIG_FILE));
  return directory;
}

const resume = (clientId: string, more = {}) => ({
  clientId,
  cleanStart: false,
  properties: { sessionExpiryInterval: 3600 },
  ...more,
});

/** So many messages, by their payloads; QoS 1 and 2 are acknowledged to the end. */
async function receive(client: RawClient, count: number): Promise<Map<string, PublishPacket>> {
  const packets = new Map<string, PublishPacket>();
  while (packets.size < count) {
    const packet = await client.next("publish");
    packets.set(text(packet), packet);
    const { qos, packetId = 0 } = packet;
    if (qos === 1) client.puback(packetId);
    if (qos === 2) client.send({ type: "pubrec", packetId, reasonCode: 0 });
    if (qos === 2)
      await waitFor(() => client.waiting.some(({ type }) => type === "pubrel"), { what: "a pubrel packet" });
    const at = client.waiting.findIndex(({ type }) => type === "pubrel");
    if (at >= 0) client.waiting.splice(at, 1);
    if (qos === 2) client.send({ type: "pubcomp", packetId, reasonCode: 0 });
  }
  return packets;
}

test("there is data to look at", () => {
  assert.ok(FOLDERS.length > 0);
});

for (const folder of FOLDERS) {
  test(`data of release ${basename(folder)}: sessions, the store, retained messages and wills`, async (t) => {
    const dataDirectory = dataDirectoryOf(t, folder);
    const broker = await startBroker(t, { dataDirectory });
    const { port } = broker.address;

    const queue = await RawClient.connect(port, resume("queue"));
    assert.equal(queue.connack?.sessionPresent, true);
    const queued = await receive(queue, 3);
    assert.deepEqual(new Set(queued.keys()), new Set(["all properties", "in the session only", "not released"]));
    const all = queued.get("all properties");
    const { messageExpiryInterval = 0, ...properties } = all?.properties ?? {};
    assert.ok(messageExpiryInterval > CENTURY, `it expires in ${messageExpiryInterval} s`);
    assert.deepEqual(
      { ...properties, correlationData: Buffer.from(properties.correlationData ?? []) },
      {
        payloadFormatIndicator: 1,
        contentType: "text/plain",
        responseTopic: "answers",
        correlationData: Buffer.from([0, 1, 255]),
        userProperties: [
          ["a", "1"],
          ["b", "it's"],
          ["a", "3"],
        ],
        subscriptionIdentifiers: [7],
      },
    );
    const kept = queued.get("in the session only");
    assert.deepEqual([kept?.retain, kept?.properties?.subscriptionIdentifiers], [true, [8]]);
    assert.equal(queued.get("not released")?.qos, 2);
    assert.deepEqual(await queue.ping(), [], "each once");

    const flight = await RawClient.connect(port, resume("in-flight"));
    const released = await flight.next("pubrel");
    const again = await flight.next("publish");
    assert.deepEqual([released.packetId, again.packetId, again.dup, text(again)], [1, 2, true, "not received"]);

    const old = await RawClient.connect(port, { version: 4, clientId: "v4", cleanStart: false });
    const first = await old.next("publish");
    assert.deepEqual([first.packetId, first.dup, text(first)], [1, true, "for MQTT 3.1.1"]);

    const publisher = await RawClient.connect(port, resume("publisher"));
    publisher.publish("stored/q/two", { qos: 2, packetId: 9, dup: true, payload: "not released" });
    await publisher.next("pubrec");
    publisher.send({ type: "pubrel", packetId: 9, reasonCode: 0 });
    assert.equal((await publisher.next("pubcomp")).reasonCode, 0);
    assert.deepEqual(await queue.ping(), [], "a repetition is not delivered again");

    const comesBack = await RawClient.connect(port, { clientId: "comes-back" });
    assert.deepEqual([...(await receive(comesBack, 1)).keys()], ["for a stored subscription"]);

    const late = await RawClient.connect(port, { clientId: "late" });
    late.sendSubscribe([{ topicFilter: "stored/#" }, { topicFilter: "plain/q" }]);
    await late.next("suback");
    const stored: PublishPacket[] = [];
    while (stored.length < 5) {
      const packet = await late.next("publish");
      stored.push(packet);
      if (packet.qos > 0) late.puback(packet.packetId);
    }
    assert.deepEqual(stored.map(({ topic, retain }) => `${topic}${retain ? ", retained" : ""}`).sort(), [
      "plain/q, retained",
      "stored/bytes",
      "stored/late-will",
      "stored/r, retained",
      "stored/will",
    ]);
    const bytes = stored.find(({ topic }) => topic === "stored/bytes");
    assert.deepEqual(bytes && text(bytes), "\u0000é\n'");
    const will = stored.find(({ topic }) => topic === "stored/will");
    assert.deepEqual(will?.properties?.userProperties, [["why", "will"]]);
    assert.deepEqual(await late.ping(), [], "nothing else is stored");

    await broker.stop();
    for (const [file, migrations] of [
      ["broker.db", BROKER_MIGRATIONS],
      [STORE_FILE, STORE_MIGRATIONS],
    ] as const) {
      const database = new DatabaseSync(join(dataDirectory, file), { readOnly: true });
      assert.equal(database.prepare("PRAGMA user_version").get()?.user_version, migrations.length, file);
      database.close();
    }
  });

  test(`data of release ${basename(folder)}: the text says what the files say`, (t) => {
    const dataDirectory = dataDirectoryOf(t, folder);
    for (const [name, file] of [
      ["broker.sql", "broker.db"],
      ["messages.sql", STORE_FILE],
    ] as const) {
      assert.equal(databaseText(join(dataDirectory, file)), readFileSync(join(folder, name), "utf8"));
    }
  });
}
