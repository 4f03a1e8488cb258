// The store cannot write: the publisher is refused in time, the log says why once, and all works again afterwards.

import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import type { ErrorWithReasonCode } from "mqtt";
import { connectClient, publishMany, type TestClient } from "../support/mqtt-client.ts";
import { type RunningBroker, startBroker, startBrokerWith, storeFile } from "../support/omp.ts";
import { lockDatabase } from "../support/sqlite-lock.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const STORE_TIMEOUT = 400;
/** `nobody` on Debian. */
const NOBODY = 65534;

function startWith(t: TestContext, config: string): Promise<RunningBroker> {
  return startBrokerWith(t, `sqlite { enable = true, topics = ["#"]\n ${config} }\nstore_timeout = ${STORE_TIMEOUT}\n`);
}

/** The reason code with which a publish was refused; 0: it was taken. */
async function publishCode({ client }: TestClient, qos: 1 | 2 = 1): Promise<{ code: number; text: string }> {
  try {
    await client.publishAsync("t", "payload", { qos });
    return { code: 0, text: "" };
  } catch (error) {
    return { code: (error as ErrorWithReasonCode).code, text: (error as Error).message };
  }
}

function linesWith(broker: RunningBroker, pattern: RegExp): number {
  return broker.child.stderr.split("\n").filter((line) => pattern.test(line)).length;
}

/** The log comes by another way than the answers to clients, and may come later. */
async function toldOnce(broker: RunningBroker, pattern: RegExp): Promise<void> {
  await waitFor(() => linesWith(broker, pattern) > 0, { what: `a line of the log with ${pattern}` });
  assert.equal(linesWith(broker, pattern), 1, broker.child.stderr);
}

test("locked by another process: refused within the store timeout, logged once, and mended by itself", async (t) => {
  const broker = await startWith(t, "");
  const modern = await connectClient(t, broker.address, { clientId: "modern" });
  assert.equal((await publishCode(modern)).code, 0);
  const locker = lockDatabase(storeFile(broker.dataDirectory));
  t.after(() => locker.close());
  for (const qos of [1, 2, 1] as const) {
    const begun = performance.now();
    assert.equal((await publishCode(modern, qos)).code, 0x83);
    const took = performance.now() - begun;
    assert.ok(took < STORE_TIMEOUT * 3, `refused after ${took.toFixed(0)} ms`);
  }
  // MQTT 3.1.1 has no code for it: the connection is closed, so that the client sends it again.
  const old = await connectClient(t, broker.address, { clientId: "old", protocolVersion: 4 });
  old.client.publish("t", "again", { qos: 1 });
  await old.closed;
  await toldOnce(broker, /the store is away/);
  locker.exec("ROLLBACK");
  await waitFor(() => linesWith(broker, /the store is back/) === 1, { what: "the store to be back", timeout: 2000 });
  assert.equal((await publishCode(modern)).code, 0);
  const subscriber = await connectClient(t, broker.address, { clientId: "subscriber" });
  await subscriber.client.subscribeAsync("t", { qos: 1 });
  await subscriber.received(2);
  assert.equal(subscriber.packets.length, 2, "what was refused is not stored");
});

test("the answers to what is stored go out before an MQTT 3.1.1 connection is closed", async (t) => {
  const broker = await startWith(t, "max_messages = 5");
  const old = await connectClient(t, broker.address, { clientId: "old", protocolVersion: 4 });
  const acknowledged: number[] = [];
  for (let index = 0; index < 20; index += 1) {
    old.client.publish("t", String(index), { qos: 1 }, (error) => {
      if (!error) acknowledged.push(index);
    });
  }
  await old.closed;
  assert.deepEqual(acknowledged, [0, 1, 2, 3, 4]);
});

test("database full: refused, and taken again once messages were fetched", async (t) => {
  const broker = await startWith(t, "max_page_count = 60");
  const publisher = await connectClient(t, broker.address, { clientId: "publisher" });
  let taken = 0;
  let last = await publishCode(publisher);
  for (; last.code === 0 && taken < 5000; last = await publishCode(publisher)) taken += 1;
  assert.equal(last.code, 0x83);
  assert.ok(taken > 10 && taken < 5000, `${taken} fitted in`);
  await publishCode(publisher);
  await toldOnce(broker, /the store is away.*full/i);
  const subscriber = await connectClient(t, broker.address, { clientId: "subscriber" });
  await subscriber.client.subscribeAsync("t", { qos: 1 });
  await subscriber.received(taken);
  await subscriber.client.unsubscribeAsync("t");
  await waitFor(async () => (await publishCode(publisher)).code === 0, { what: "room in the database" });
});

test("directory read-only: refused with the cause, and taken once it is writable", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  const plugin = dirname(storeFile(dataDirectory));
  mkdirSync(plugin, { recursive: true });
  const asRoot = process.getuid?.() === 0;
  if (asRoot) {
    chownSync(dataDirectory, NOBODY, NOBODY);
    chownSync(plugin, NOBODY, NOBODY);
  }
  chmodSync(plugin, 0o555);
  const prefix = asRoot ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"] : [];
  const broker = await startBroker(t, { dataDirectory, prefix });
  const publisher = await connectClient(t, broker.address, { clientId: "publisher" });
  for (let n = 0; n < 3; n += 1) {
    const { code, text } = await publishCode(publisher);
    assert.equal(code, 0x83, text);
  }
  await toldOnce(broker, /the store is away/);
  assert.match(broker.child.stderr, /the store is away.*(read-only|permission|writ)/i);
  chmodSync(plugin, 0o755);
  await waitFor(async () => (await publishCode(publisher)).code === 0, { what: "a publish that is taken" });
});

test("max_messages with drop_oldest: the newest stay, in order, while traffic runs", async (t) => {
  const broker = await startWith(t, 'max_messages = 100\n overflow = "drop_oldest"');
  const publisher = await connectClient(t, broker.address, { clientId: "publisher" });
  await publishMany(publisher, () => "t", 1000, 1, 1);
  const subscriber = await connectClient(t, broker.address, { clientId: "subscriber" });
  await subscriber.client.subscribeAsync("t", { qos: 1 });
  await subscriber.received(100);
  assert.deepEqual(
    subscriber.payloads,
    Array.from({ length: 100 }, (_, index) => String(900 + index)),
  );
});

for (const [config, text] of [
  ["max_messages = 10", "max_messages"],
  ["max_bytes = 70", "max_bytes"],
  ["max_messages_per_topic = 10", "max_messages_per_topic"],
] as const) {
  test(`${config} with reject: 0x97 and the limit's name`, async (t) => {
    const broker = await startWith(t, config);
    const publisher = await connectClient(t, broker.address, { clientId: "publisher" });
    for (let n = 0; n < 10; n += 1) assert.equal((await publishCode(publisher)).code, 0);
    let reason = "";
    publisher.client.on("packetreceive", (packet) => {
      if (packet.cmd === "puback") reason = packet.properties?.reasonString ?? "";
    });
    assert.equal((await publishCode(publisher)).code, 0x97);
    assert.match(reason, new RegExp(text));
  });
}

test("message_ttl: what is too old is not delivered, and its rows go", async (t) => {
  const broker = await startWith(t, "message_ttl = 1");
  const publisher = await connectClient(t, broker.address, { clientId: "publisher" });
  await publishMany(publisher, () => "t", 1500);
  const database = new DatabaseSync(storeFile(broker.dataDirectory), { readOnly: true });
  t.after(() => database.close());
  const rows = database.prepare("SELECT count(*) AS messages FROM mqtt_msg");
  assert.equal(Number(rows.get()?.messages), 1500);
  await waitFor(() => Number(rows.get()?.messages) === 0, { what: "the sweep", timeout: 20_000, interval: 100 });
});
