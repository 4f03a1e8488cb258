// Writes the data of this release as text, for later releases to be tested with: `node tools/release-data/write.ts FOLDER`.
//
// Clients of all kinds use a real broker, which is then killed. test/e2e/release-data.test.ts knows what they are owed; what a
// later release adds comes in here and there.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { RawClient } from "../../test/broker/raw-client.ts";
import { PLUGIN_CONFIG_FILE, STORE_FILE, startBroker } from "../../test/support/omp.ts";
import { inReverse, type Scope, temporaryDirectory } from "../../test/support/temporary-directory.ts";
import { waitFor } from "../../test/support/wait-for.ts";
import { databaseText } from "./database-text.ts";

/** The time of the data must never be over. */
const FOR_EVER = 0xffff_ffff;
const CONFIGURATION = 'sqlite { enable = true, topics = ["stored/#"], message_ttl = 0 }\n';

/** Files of a release's data, by what they are in a data directory. */
const FILES = { "messages.sql": STORE_FILE, "broker.sql": "broker.db" } as const;

const session = (clientId: string) =>
  ({ clientId, cleanStart: false, properties: { sessionExpiryInterval: FOR_EVER } }) as const;
const will = (topic: string, willDelayInterval: number) => ({
  topic,
  payload: Buffer.from("gone"),
  qos: 1 as const,
  retain: false,
  properties: { willDelayInterval, userProperties: [["why", "will"]] as const },
});

/** What each client does; all that are connected at the end are killed with the broker. */
async function useBroker(port: number): Promise<void> {
  const queue = await RawClient.connect(port, session("queue"));
  await queue.subscribe("stored/q/#", { qos: 2 }, 7);
  await queue.subscribe("plain/q", { qos: 1, retainAsPublished: true }, 8);
  await queue.disconnect();

  const comesBack = await RawClient.connect(port, { clientId: "comes-back" });
  await comesBack.subscribe("stored/s/+", { qos: 1 });
  await comesBack.disconnect();

  const other = await RawClient.connect(port, { clientId: "other" });
  await other.publishAcked("stored/q/all", "all properties", {
    properties: {
      payloadFormatIndicator: 1,
      contentType: "text/plain",
      responseTopic: "answers",
      correlationData: Buffer.from([0, 1, 255]),
      messageExpiryInterval: FOR_EVER,
      userProperties: [
        ["a", "1"],
        ["b", "it's"],
        ["a", "3"],
      ],
    },
  });
  await other.publishAcked("plain/q", "in the session only", { retain: true });
  await other.publishAcked("stored/s/1", "for a stored subscription");
  await other.publishAcked("stored/r", "retained and stored", { retain: true });
  await other.publishAcked("stored/bytes", "\u0000é\n'");

  const publisher = await RawClient.connect(port, session("publisher"));
  publisher.publish("stored/q/two", { qos: 2, packetId: 9, payload: "not released" });
  await publisher.next("pubrec");

  const flight = await RawClient.connect(port, session("in-flight"));
  await flight.subscribe("plain/flight", { qos: 2 });
  for (const payload of ["received", "not received"]) {
    const packetId = other.publish("plain/flight", { qos: 2, payload });
    await other.next("pubrec");
    other.send({ type: "pubrel", packetId, reasonCode: 0 });
    await other.next("pubcomp");
  }
  const { packetId = 0 } = await flight.next("publish");
  flight.send({ type: "pubrec", packetId, reasonCode: 0 });
  await flight.next("publish");
  await flight.next("pubrel");

  const old = await RawClient.connect(port, { version: 4, clientId: "v4", cleanStart: false });
  await old.subscribe("plain/v4", { qos: 1 });
  await other.publishAcked("plain/v4", "for MQTT 3.1.1");
  await old.next("publish");

  await RawClient.connect(port, { ...session("with-will"), will: will("stored/will", 0) });
  const late = await RawClient.connect(port, { ...session("late-will"), will: will("stored/late-will", 30) });
  await late.break();
}

async function main(scope: Scope, folder: string): Promise<void> {
  const dataDirectory = temporaryDirectory(scope);
  const config = join(dataDirectory, PLUGIN_CONFIG_FILE);
  mkdirSync(dirname(config), { recursive: true });
  writeFileSync(config, CONFIGURATION);
  writeFileSync(join(dataDirectory, "omp.hocon"), `mqtt.max_session_expiry_interval = ${FOR_EVER}s\n`);
  const broker = await startBroker(scope, { dataDirectory });
  await useBroker(broker.address.port);
  const database = new DatabaseSync(join(dataDirectory, "broker.db"), { readOnly: true });
  const due = database.prepare("SELECT count(due_at) AS wills FROM will");
  await waitFor(() => due.get()?.wills === 1, { what: "the delayed will to be saved" });
  database.close();
  await broker.stop("SIGKILL");
  mkdirSync(folder, { recursive: true });
  for (const [text, file] of Object.entries(FILES)) {
    writeFileSync(join(folder, text), databaseText(join(dataDirectory, file)));
  }
  writeFileSync(join(folder, "config.hocon"), CONFIGURATION);
}

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error("usage: node tools/release-data/write.ts FOLDER, such as test/e2e/data/0.1.0");
  process.exit(2);
}
const undo: (() => void | Promise<void>)[] = [];
try {
  await main(inReverse({ after: (callback) => undo.push(callback) }), resolve(folder));
} finally {
  for (const callback of undo) await callback();
}
