// Real processes and broker.db: wills and retained messages across `kill -9`, and a disk that does not take what is written.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import type { IClientOptions } from "mqtt";
import { SessionClient } from "../broker/session-client.ts";
import { connectClient, type TestClient } from "../support/mqtt-client.ts";
import { PLUGIN_CONFIG_FILE, type RunningBroker, startBroker } from "../support/omp.ts";
import { lockDatabase } from "../support/sqlite-lock.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

/** A limit on the size of files, in bytes. */
const FILE_SIZE = 256 * 1024;

/** A data directory with the plugin idle. */
function directory(t: TestContext, config = ""): string {
  const dataDirectory = temporaryDirectory(t);
  const file = join(dataDirectory, PLUGIN_CONFIG_FILE);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "sqlite { enable = false }\n");
  writeFileSync(join(dataDirectory, "omp.hocon"), config);
  return dataDirectory;
}

function persistent(clientId: string, more: IClientOptions = {}): IClientOptions {
  return { clientId, clean: false, properties: { sessionExpiryInterval: 3600 }, ...more };
}

function will(topic: string, willDelayInterval: number): Pick<IClientOptions, "will"> {
  return { will: { topic, payload: Buffer.from("gone"), qos: 1, retain: false, properties: { willDelayInterval } } };
}

/** A session that is subscribed, and away. */
async function makeAway(t: TestContext, broker: RunningBroker, clientId: string, filter: string): Promise<void> {
  const client = await connectClient(t, broker.address, persistent(clientId));
  await client.client.subscribeAsync(filter, { qos: 1 });
  await client.end();
}

test("kill -9: wills of who was connected are published, delayed ones unless the client is back in time", async (t) => {
  const dataDirectory = directory(t);
  const first = await startBroker(t, { dataDirectory });
  await makeAway(t, first, "watcher", "will/#");
  await connectClient(t, first.address, { clientId: "short", ...will("will/without-session", 0) });
  await connectClient(t, first.address, persistent("at-once", will("will/at-once", 0)));
  await connectClient(t, first.address, persistent("late", will("will/late", 1)));
  await connectClient(t, first.address, persistent("back", will("will/back", 3600)));
  const pending = await connectClient(t, first.address, persistent("pending", will("will/pending", 2)));
  pending.client.stream.destroy();
  const polite = await connectClient(t, first.address, persistent("polite", will("will/polite", 0)));
  await polite.end();
  await (await connectClient(t, first.address)).client.publishAsync("r", "kept", { qos: 1, retain: true });
  const database = new DatabaseSync(join(dataDirectory, "broker.db"), { readOnly: true });
  const wills = database.prepare("SELECT count(*) AS wills, count(due_at) AS delayed FROM will");
  await waitFor(() => wills.get()?.wills === 5 && wills.get()?.delayed === 1, { what: "all wills to be saved" });
  database.close();
  await first.stop("SIGKILL");

  const second = await startBroker(t, { dataDirectory });
  const back = await connectClient(t, second.address, persistent("back"));
  const watcher = await connectClient(t, second.address, persistent("watcher"));
  await watcher.received(4);
  await back.client.subscribeAsync("r", { qos: 1 });
  await back.received(1);
  assert.deepEqual(back.payloads, ["kept"]);
  assert.deepEqual(watcher.packets.map(({ topic }) => topic).sort(), [
    "will/at-once",
    "will/late",
    "will/pending",
    "will/without-session",
  ]);
});

/** Publishes one after the other until the connection breaks; returns what was acknowledged. */
async function publishUntilClosed({ client, closed }: TestClient, prefix: string): Promise<string[]> {
  const acknowledged: string[] = [];
  let isOpen = true;
  void closed.then(() => {
    isOpen = false;
  });
  for (let number = 0; isOpen && number < 5000; number += 1) {
    const payload = `${prefix} ${number} `.padEnd(1000, ".");
    const outcome = client.publishAsync("t", payload, { qos: 1 }).then(
      () => true,
      () => false,
    );
    if (await Promise.race([outcome, closed.then(() => false)])) acknowledged.push(payload);
  }
  return acknowledged;
}

test("a full disk: who waits is disconnected, others go on, it heals, and nothing acknowledged is lost", async (t) => {
  const dataDirectory = directory(t, 'durable_sessions.save_timeout = "1s"\nmqtt.max_mqueue_len = 10000\n');
  const first = await startBroker(t, { dataDirectory, prefix: ["prlimit", `--fsize=${FILE_SIZE}:unlimited`] });
  await makeAway(t, first, "away", "t");
  const acknowledged = await publishUntilClosed(await connectClient(t, first.address), "before");
  assert.ok(acknowledged.length > 50 && acknowledged.length < 5000, `${acknowledged.length} fitted in`);
  const other = await connectClient(t, first.address);
  await other.client.publishAsync("elsewhere", "x", { qos: 1 });
  await assert.rejects(new SessionClient(first.address.port, "new", 5).connect(), /closed before CONNACK/);
  assert.match(first.child.stderr, /not saved.*broker\.db/s);
  execFileSync("prlimit", ["--pid", String(first.child.pid), "--fsize=unlimited"]);
  const publisher = await connectClient(t, first.address);
  await publisher.client.publishAsync("t", "after", { qos: 1 });
  assert.match(first.child.stderr, /saved again/);
  await first.stop("SIGKILL");

  const second = await startBroker(t, { dataDirectory });
  const back = await connectClient(t, second.address, persistent("away"));
  await waitFor(() => back.payloads.at(-1) === "after", { what: "the last message" });
  const arrived = new Set(back.payloads);
  assert.deepEqual(
    acknowledged.filter((payload) => !arrived.has(payload)),
    [],
  );
});

test("locked by another process at SIGTERM: it ends all the same, and nothing acknowledged is lost", async (t) => {
  const dataDirectory = directory(t);
  const first = await startBroker(t, { dataDirectory });
  await makeAway(t, first, "away", "t");
  const publisher = await connectClient(t, first.address);
  await publisher.client.publishAsync("t", "acknowledged", { qos: 1 });
  const locker = lockDatabase(join(dataDirectory, "broker.db"));
  t.after(() => locker.close());
  const watcher = await connectClient(t, first.address);
  await watcher.client.subscribeAsync("t");
  publisher.client.publish("t", "waits", { qos: 1 });
  await watcher.received(1);
  const begun = performance.now();
  assert.equal((await first.stop()).code, 0);
  const took = performance.now() - begun;
  assert.ok(took < 8000, `it took ${took.toFixed(0)} ms`);
  t.diagnostic(`it took ${took.toFixed(0)} ms`);
  locker.exec("ROLLBACK");
  const second = await startBroker(t, { dataDirectory });
  const back = await connectClient(t, second.address, persistent("away"));
  await back.received(1);
  assert.equal(back.payloads[0], "acknowledged");
});
