// `omp backup` and `omp restore` with real brokers: under load, after a kill, and what QoS 2 exchanges become.

import assert from "node:assert/strict";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import type { IClientOptions } from "mqtt";
import { RawClient } from "../broker/raw-client.ts";
import { connectClient, type TestClient } from "../support/mqtt-client.ts";
import { PLUGIN_CONFIG_FILE, type RunningBroker, runOmp, STORE_FILE, startBroker } from "../support/omp.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

/** Publishes that are acknowledged before the backup begins. */
const BEFORE = 600;
const LANES = 20;
const TIMEOUT = 60_000;

function persistent(clientId: string): IClientOptions {
  return { clientId, clean: false, properties: { sessionExpiryInterval: 3600 } };
}

async function backUp(dataDirectory: string, file: string): Promise<void> {
  const { code, stderr } = await runOmp(["backup", file, "--data-dir", dataDirectory], { timeout: TIMEOUT });
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
}

/** Restores into a directory that is not there yet, and starts a broker on it. */
async function startRestored(t: TestContext, file: string): Promise<RunningBroker> {
  const dataDirectory = join(temporaryDirectory(t), "new", "data");
  const { code, stderr } = await runOmp(["restore", file, "--data-dir", dataDirectory], { timeout: TIMEOUT });
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  return startBroker(t, { dataDirectory });
}

/** A subscription, and then away. */
async function makeAway(t: TestContext, broker: RunningBroker, options: IClientOptions, filter: string): Promise<void> {
  const client = await connectClient(t, broker.address, options);
  await client.client.subscribeAsync(filter, { qos: 2 });
  await client.end();
}

/** Publishes without an end; `acknowledged` grows. */
class Load {
  readonly acknowledged: string[] = [];
  readonly #lanes: Promise<void>[];
  #isOver = false;
  #next = 0;

  constructor({ client }: TestClient, topics: readonly string[]) {
    const lane = async (): Promise<void> => {
      while (!this.#isOver) {
        const number = this.#next++;
        const topic = topics[number % topics.length] ?? "";
        await client.publishAsync(topic, `${topic} ${number}`, { qos: number % 2 === 0 ? 1 : 2 });
        this.acknowledged.push(`${topic} ${number}`);
      }
    };
    this.#lanes = Array.from({ length: LANES }, lane);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#lanes);
  }
}

/** What was acknowledged and has not arrived. */
function missing(acknowledged: readonly string[], prefix: string, { payloads }: TestClient): string[] {
  const arrived = new Set(payloads);
  return acknowledged.filter((payload) => payload.startsWith(prefix) && !arrived.has(payload));
}

test("under load: what was acknowledged before the backup began is delivered by the restored broker", async (t) => {
  const directory = temporaryDirectory(t);
  const dataDirectory = join(directory, "data");
  const first = await startBroker(t, { dataDirectory });
  await makeAway(t, first, persistent("with-session"), "session/#");
  await makeAway(t, first, { clientId: "without-session" }, "subscription/#");
  const publisher = await connectClient(t, first.address);
  await publisher.client.publishAsync("kept", "retained", { qos: 1, retain: true });
  const load = new Load(publisher, ["session/1", "session/2", "subscription/1", "store/1"]);
  await waitFor(() => load.acknowledged.length >= BEFORE, { what: "enough publishes", timeout: TIMEOUT });
  const before = [...load.acknowledged];
  const file = join(directory, "online.tar.gz");
  await backUp(dataDirectory, file);
  const after = load.acknowledged.length;
  assert.ok(after > before.length, "publishes went on meanwhile");
  await load.stop();
  const everything = [...load.acknowledged];
  await first.stop("SIGKILL");

  const offline = join(directory, "offline.tar.gz");
  await backUp(dataDirectory, offline);
  for (const [archive, acknowledged] of [
    [file, before],
    [offline, everything],
  ] as const) {
    const broker = await startRestored(t, archive);
    const session = await connectClient(t, broker.address, persistent("with-session"));
    const subscription = await connectClient(t, broker.address, { clientId: "without-session" });
    const late = await connectClient(t, broker.address);
    await late.client.subscribeAsync(["store/#", "kept"], { qos: 2 });
    for (const [client, prefix] of [
      [session, "session/"],
      [subscription, "subscription/"],
      [late, "store/"],
    ] as const) {
      const what = `${acknowledged.length} messages acknowledged; those to ${prefix}#`;
      await waitFor(() => missing(acknowledged, prefix, client).length === 0, { what, timeout: TIMEOUT });
    }
    assert.ok(late.packets.some(({ topic, retain }) => topic === "kept" && retain));
    await broker.stop();
  }
});

test("a Packet Identifier that was in use when the backup was made does not swallow another message", async (t) => {
  const directory = temporaryDirectory(t);
  const dataDirectory = join(directory, "data");
  const first = await startBroker(t, { dataDirectory });
  const session = { clientId: "publisher", cleanStart: false, properties: { sessionExpiryInterval: 3600 } };
  const publish = { type: "publish", topic: "t", qos: 2, packetId: 7, dup: false, retain: false } as const;
  const publisher = await RawClient.connect(first.address.port, session);
  publisher.send({ ...publish, payload: Buffer.from("before the backup") });
  await publisher.next("pubrec");
  const file = join(directory, "backup.tar.gz");
  await backUp(dataDirectory, file);
  // It goes on, and ends in peace.
  publisher.send({ type: "pubrel", packetId: 7, reasonCode: 0 });
  await publisher.next("pubcomp");
  await first.stop();

  const second = await startRestored(t, file);
  const again = await RawClient.connect(second.address.port, session);
  assert.equal(again.connack?.sessionPresent, true);
  again.send({ ...publish, payload: Buffer.from("after the backup") });
  assert.equal((await again.next("pubrec")).reasonCode, 0);
  const subscriber = await connectClient(t, second.address);
  await subscriber.client.subscribeAsync("t", { qos: 1 });
  await subscriber.received(2);
  assert.deepEqual(subscriber.payloads, ["before the backup", "after the backup"]);
});

test("with messages in Redis there are sessions and configuration in a backup, and it says so", async (t) => {
  const directory = temporaryDirectory(t);
  const dataDirectory = join(directory, "data");
  const config = join(dataDirectory, PLUGIN_CONFIG_FILE);
  const broker = await startBroker(t, { dataDirectory });
  await makeAway(t, broker, persistent("away"), "t");
  await broker.stop();
  writeFileSync(config, 'redis { enable = true, servers = "127.0.0.1:1", topics = ["#"] }\n');
  const file = join(directory, "backup.tar.gz");
  const { code, stdout, stderr } = await runOmp(["backup", file, "--data-dir", dataDirectory]);
  assert.equal(code, 0, stderr);
  assert.match(
    stderr,
    /^omp: the messages and subscriptions in Redis at 127\.0\.0\.1:1 .* are not in this backup: [^\n]+\n$/,
  );
  assert.doesNotMatch(stdout, /messages\.db/);
  const restored = join(directory, "restored");
  assert.equal((await runOmp(["restore", file, "--data-dir", restored])).code, 0);
  const database = new DatabaseSync(join(restored, "broker.db"), { readOnly: true });
  t.after(() => database.close());
  assert.equal(database.prepare("SELECT client_id FROM session").get()?.client_id, "away");
  assert.equal(statSync(join(restored, PLUGIN_CONFIG_FILE)).mode & 0o777, 0o600);
  assert.equal(statSync(join(restored, STORE_FILE), { throwIfNoEntry: false }), undefined);
});

test("a database outside of the data directory is not in a backup, and it says so; one elsewhere inside is", async (t) => {
  const directory = temporaryDirectory(t);
  for (const [name, path] of [
    ["outside", "../../../messages.db"],
    ["inside", "../../store/messages.db"],
  ] as const) {
    const dataDirectory = join(directory, name);
    const config = join(dataDirectory, PLUGIN_CONFIG_FILE);
    mkdirSync(dirname(config), { recursive: true });
    writeFileSync(config, `sqlite { enable = true, topics = ["#"], path = "${path}" }\n`);
    const broker = await startBroker(t, { dataDirectory });
    const publisher = await connectClient(t, broker.address);
    await publisher.client.publishAsync("t", "x", { qos: 1 });
    await broker.stop();
    const file = join(directory, `${name}.tar.gz`);
    const { code, stderr } = await runOmp(["backup", file, "--data-dir", dataDirectory]);
    assert.equal(code, 0);
    if (name === "outside") {
      assert.match(stderr, /^omp: the messages in \S+\/messages\.db are not in this backup, since that is outside of /);
      continue;
    }
    assert.equal(stderr, "");
    const second = await startRestored(t, file);
    const subscriber = await connectClient(t, second.address);
    await subscriber.client.subscribeAsync("t", { qos: 1 });
    await subscriber.received(1);
  }
});
