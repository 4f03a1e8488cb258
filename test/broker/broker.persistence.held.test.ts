// Sessions while broker.db is locked now and then: taken over, broken and resumed with packets that are held back.

import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { PublishResult } from "../../src/plugin/hooks.ts";
import { seededRandom } from "../mqtt/seed.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { startBroker } from "./broker-fixture.ts";
import { SessionClient } from "./session-client.ts";

const STEPS = 150;

/** False: the broker is writing just now. */
function tryLock(file: DatabaseSync): boolean {
  try {
    file.exec("BEGIN IMMEDIATE");
    return true;
  } catch {
    return false;
  }
}

async function breakWhileHeld(t: TestContext, name: string, stored: boolean): Promise<void> {
  const random = seededRandom(name);
  const databasePath = join(temporaryDirectory(t), "broker.db");
  const fixture = await startBroker(t, { databasePath, withoutHooks: !stored, saveTimeout: 0.3, maxInflight: 5 });
  const { broker, hooks, port } = fixture;
  hooks.answer = () => new Promise<PublishResult>((resolve) => setImmediate(resolve, "stored"));
  hooks.onAcked = (_clientId, message) => setImmediate(() => broker.host.messagesRemoved([message]));
  const file = new DatabaseSync(databasePath);
  t.after(() => file.close());
  const publishers = [new SessionClient(port, "p1", 5), new SessionClient(port, "p2", 4)];
  const subscribers = [new SessionClient(port, "s1", 5), new SessionClient(port, "s2", 4)];
  const clients = [...publishers, ...subscribers];
  t.after(() => {
    for (const client of clients) client.close();
  });
  for (const client of clients) await client.connect();
  for (const client of subscribers) await client.subscribe("t/#", 2);
  const sent: string[][] = [[], []];
  const connecting = new Map<SessionClient, Promise<void>>();
  let isLocked = false;
  for (let step = 0; step < STEPS; step += 1) {
    if (random.chance(0.1)) {
      if (isLocked) file.exec("ROLLBACK");
      isLocked = !isLocked && tryLock(file);
    }
    const client = random.pick(clients);
    if (random.chance(0.1)) client.close();
    // One that is connected is taken over.
    if (random.chance(client.isConnected ? 0.05 : 0.5) && !connecting.has(client)) {
      const connected = client.connect().catch(() => {});
      connecting.set(
        client,
        connected.then(() => void connecting.delete(client)),
      );
    }
    for (const [at, publisher] of publishers.entries()) {
      if (!publisher.isConnected || publisher.unacknowledged >= 20) continue;
      const payload = `${at} ${sent[at]?.length}`;
      sent[at]?.push(payload);
      publisher.publish(`t/${at}`, 2, payload);
    }
    await delay(random.below(10));
  }
  if (isLocked) file.exec("ROLLBACK");
  await Promise.all(connecting.values());
  for (const client of clients) {
    client.close();
    await client.closed();
    await waitFor(
      () =>
        client.connect().then(
          () => true,
          () => false,
        ),
      { what: "a connection" },
    );
  }
  for (const publisher of publishers) await waitFor(() => publisher.isDone, { what: "all acknowledgements" });
  for (const subscriber of subscribers) {
    await waitFor(() => subscriber.delivered.length >= sent.flat().length, { what: "all messages" });
    await subscriber.ping();
    for (const [at, expected] of sent.entries()) {
      const delivered = subscriber.delivered.filter((payload) => payload.startsWith(`${at} `));
      assert.deepEqual(delivered, expected);
    }
  }
  await waitFor(() => broker.metrics.inflight === 0, { what: "the last PUBCOMP" });
  await broker.stop();
  for (const table of ["message", "delivery", "incoming_publish"]) {
    assert.equal(file.prepare(`SELECT count(*) AS rows FROM ${table}`).get()?.rows, 0, table);
  }
}

for (const stored of [false, true]) {
  const name = `QoS 2 exactly once while sessions are broken and taken over with packets held${stored ? ", stored" : ""}`;
  test(name, (t) => breakWhileHeld(t, name, stored));
}
