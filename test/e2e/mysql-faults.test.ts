// MariaDB fails under the broker: the publisher is refused in time, the log says so once, and all goes on by itself.

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { ErrorWithReasonCode } from "mqtt";
import { type MariadbSetup, mariadbSkip, mysqlConfiguration, STORE_PASSWORD, startPlain } from "../support/mariadb.ts";
import { connectClient, publishMany, type TestClient } from "../support/mqtt-client.ts";
import { type RunningBroker, startBrokerWith } from "../support/omp.ts";
import { waitFor } from "../support/wait-for.ts";

const STORE_TIMEOUT = 1_500;
const BACKLOG = 200;

/** A broker on MariaDB with stored messages, and a publisher. */
async function begin(t: TestContext) {
  const setup = await startPlain(t);
  const configuration = `${mysqlConfiguration(setup.place)}store_timeout = ${STORE_TIMEOUT}\n`;
  const broker = await startBrokerWith(t, configuration);
  const publisher = await connectClient(t, broker.address, { clientId: "publisher" });
  await publishMany(publisher, () => "t", BACKLOG);
  return { broker, publisher, setup };
}

/** The reason code with which a publish is refused; 0: it is taken. In time. */
async function publishCode({ client }: TestClient, payload: string, qos: 1 | 2 = 1): Promise<number> {
  const begun = performance.now();
  try {
    await client.publishAsync("t", payload, { qos });
    return 0;
  } catch (error) {
    return (error as ErrorWithReasonCode).code;
  } finally {
    const took = performance.now() - begun;
    assert.ok(took < STORE_TIMEOUT * 3, `answered after ${took.toFixed(0)} ms`);
  }
}

async function refused(publisher: TestClient): Promise<void> {
  await waitFor(async () => (await publishCode(publisher, "refused")) === 0x83, { what: "a refusal" });
  for (const qos of [1, 2] as const) assert.equal(await publishCode(publisher, "refused", qos), 0x83);
}

async function taken(publisher: TestClient, payload: string): Promise<void> {
  await waitFor(async () => (await publishCode(publisher, payload)) === 0, {
    what: "a publish that is taken",
    timeout: 20_000,
  });
}

/** All that was acknowledged comes, in order and once; refused messages may come, if MariaDB did the work but could not say so. */
async function assertAllComes(subscriber: TestClient, last: string): Promise<void> {
  await waitFor(() => subscriber.payloads.at(-1) === last, { what: `the message ${last}`, timeout: 20_000 });
  const wanted = [...Array.from({ length: BACKLOG }, (_, at) => String(at)), last];
  assert.deepEqual(
    subscriber.payloads.filter((payload) => payload !== "refused"),
    wanted,
  );
}

async function assertToldOnce({ child }: RunningBroker): Promise<void> {
  // A write may have worked before the probe that tells it.
  await child.output(/the store is back/);
  const lines = (pattern: RegExp) => child.stderr.split("\n").filter((line) => pattern.test(line)).length;
  assert.equal(lines(/the store is away/), 1, child.stderr);
  assert.equal(lines(/the store is back/), 1, child.stderr);
}

async function setPassword({ server, place }: MariadbSetup, password: string): Promise<void> {
  await server.with(async (client) => {
    await client.query(`ALTER USER '${place.username}'@'%' IDENTIFIED BY '${password}'`);
    await client.query(`KILL USER '${place.username}'@'%'`);
  });
}

const setReadOnly = ({ server }: MariadbSetup, value: 0 | 1) =>
  server.with((client) => client.query(`SET GLOBAL read_only = ${value}`));

const faults: readonly [
  name: string,
  hurt: (setup: MariadbSetup) => Promise<unknown>,
  heal: (setup: MariadbSetup) => Promise<unknown>,
  told: RegExp,
][] = [
  ["killed", ({ server }) => server.kill(), ({ server }) => server.restart(), /cannot be reached/],
  ["hanging", async ({ server }) => server.pause(), async ({ server }) => server.continue(), /did not answer/],
  ["read-only", (setup) => setReadOnly(setup, 1), (setup) => setReadOnly(setup, 0), /is read-only/],
  [
    "with another password",
    (setup) => setPassword(setup, "another"),
    (setup) => setPassword(setup, STORE_PASSWORD),
    /does not accept the user name and password|cannot be reached|has ended the connection/,
  ],
];

describe("MariaDB fails under the broker", { skip: mariadbSkip("plain") }, () => {
  for (const [name, hurt, heal, told] of faults) {
    test(`${name}: refused, told once, and replayed by itself when it is mended`, async (t) => {
      const { broker, publisher, setup } = await begin(t);
      await hurt(setup);
      await refused(publisher);
      // MQTT 3.1.1 has no code for it: the connection is closed, so that the client sends it again.
      const old = await connectClient(t, broker.address, { clientId: "old", protocolVersion: 4 });
      old.client.publish("t", "refused", { qos: 1 });
      await old.closed;
      const subscriber = await connectClient(t, broker.address, { clientId: "subscriber" });
      await subscriber.client.subscribeAsync("t", { qos: 1 });
      await heal(setup);
      await taken(publisher, "last");
      await assertAllComes(subscriber, "last");
      await assertToldOnce(broker);
      assert.match(broker.child.stderr, told);
    });
  }

  test("killed in the middle of a replay: the rest comes when it is back", async (t) => {
    const { broker, publisher, setup } = await begin(t);
    const subscriber = await connectClient(t, broker.address, {
      clientId: "subscriber",
      properties: { receiveMaximum: 1 },
    });
    await subscriber.client.subscribeAsync("t", { qos: 1 });
    await subscriber.received(10);
    await setup.server.kill();
    await refused(publisher);
    await setup.server.restart();
    await taken(publisher, "last");
    await assertAllComes(subscriber, "last");
    await assertToldOnce(broker);
  });
});
