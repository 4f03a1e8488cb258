// Redis fails under the broker: the publisher is refused in time, the log says so once, and all goes on by itself.

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { ErrorWithReasonCode } from "mqtt";
import { connectClient, publishMany, type TestClient } from "../support/mqtt-client.ts";
import { type RunningBroker, startBrokerWith } from "../support/omp.ts";
import {
  type RedisSetup,
  redisConfiguration,
  redisSkip,
  STORE_PASSWORD,
  STORE_USER,
  startCluster,
  startSentinel,
  startSingle,
  startSingleWithRights,
} from "../support/redis.ts";
import type { RedisServer } from "../support/redis-server.ts";
import { waitFor } from "../support/wait-for.ts";

const STORE_TIMEOUT = 600;
const BACKLOG = 200;

const skip = redisSkip("single");

/** A broker on Redis with stored messages, and a publisher. */
async function begin(t: TestContext, setup: RedisSetup) {
  const configuration = `${redisConfiguration(setup.place)}store_timeout = ${STORE_TIMEOUT}\n`;
  const broker = await startBrokerWith(t, configuration);
  const publisher = await connectClient(t, broker.address, { clientId: "publisher" });
  await publishMany(publisher, () => "t", BACKLOG);
  return { broker, publisher, server: setup.servers[0] as RedisServer };
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

/** Refused, or taken by a replica that has become the master already: in any case answered in time. */
async function refusedOrTaken(publisher: TestClient): Promise<void> {
  for (const qos of [1, 2] as const) assert.ok([0, 0x83].includes(await publishCode(publisher, "refused", qos)));
}

async function taken(publisher: TestClient, payload: string): Promise<void> {
  await waitFor(async () => (await publishCode(publisher, payload)) === 0, { what: "a publish that is taken" });
}

function lines(broker: RunningBroker, pattern: RegExp): number {
  return broker.child.stderr.split("\n").filter((line) => pattern.test(line)).length;
}

/** All that was acknowledged comes, in order and once; refused messages may come, if Redis did the work but could not say so. */
async function assertAllComes(subscriber: TestClient, last: string): Promise<void> {
  await waitFor(() => subscriber.payloads.at(-1) === last, { what: `the message ${last}`, timeout: 20_000 });
  const wanted = [...Array.from({ length: BACKLOG }, (_, at) => String(at)), last];
  assert.deepEqual(
    subscriber.payloads.filter((payload) => payload !== "refused"),
    wanted,
  );
}

function assertToldOnce(broker: RunningBroker): void {
  assert.equal(lines(broker, /the store is away/), 1, broker.child.stderr);
  assert.equal(lines(broker, /the store is back/), 1, broker.child.stderr);
}

describe("Redis fails under the broker", { skip }, () => {
  for (const [name, start, hurt, heal] of [
    ["killed", startSingle, (server) => server.kill(), (server) => server.restart()],
    ["hanging", startSingle, async (server) => server.pause(), async (server) => server.continue()],
    [
      "out of memory",
      startSingle,
      (server) => server.with((client) => client.command("CONFIG", "SET", "maxmemory", "1")),
      (server) => server.with((client) => client.command("CONFIG", "SET", "maxmemory", "0")),
    ],
    [
      "with another password",
      startSingleWithRights,
      (server) =>
        server.with(async (client) => {
          await client.command("ACL", "SETUSER", STORE_USER, "resetpass", ">another");
          await client.command("CLIENT", "KILL", "USER", STORE_USER);
        }),
      (server) =>
        server.with((client) => client.command("ACL", "SETUSER", STORE_USER, "resetpass", `>${STORE_PASSWORD}`)),
    ],
  ] satisfies [
    string,
    typeof startSingle,
    (server: RedisServer) => Promise<unknown>,
    (server: RedisServer) => Promise<unknown>,
  ][]) {
    test(`${name}: refused, told once, and replayed by itself when it is mended`, async (t) => {
      const { broker, publisher, server } = await begin(t, await start(t));
      await hurt(server);
      await refused(publisher);
      // MQTT 3.1.1 has no code for it: the connection is closed, so that the client sends it again.
      const old = await connectClient(t, broker.address, { clientId: "old", protocolVersion: 4 });
      old.client.publish("t", "refused", { qos: 1 });
      await old.closed;
      const subscriber = await connectClient(t, broker.address, { clientId: "subscriber" });
      await subscriber.client.subscribeAsync("t", { qos: 1 });
      await heal(server);
      await taken(publisher, "last");
      await assertAllComes(subscriber, "last");
      assertToldOnce(broker);
    });
  }

  test("killed before the start: the broker listens at once, and stores when it is back", async (t) => {
    const { place, servers } = await startSingle(t);
    const [server] = servers as [RedisServer];
    await server.kill();
    // Longer than a broker may take to start in a test.
    const broker = await startBrokerWith(t, `${redisConfiguration(place)}store_timeout = 60000\n`);
    await broker.child.output(/the store is away: Redis at \S+ cannot be reached/);
    const publisher = await connectClient(t, broker.address, { clientId: "publisher" });
    const published = publisher.client.publishAsync("t", "waits", { qos: 1 });
    await server.restart();
    await published;
    assertToldOnce(broker);
  });

  test("killed in the middle of a replay: the rest comes when it is back", async (t) => {
    const { broker, publisher, server } = await begin(t, await startSingle(t));
    const subscriber = await connectClient(t, broker.address, {
      clientId: "subscriber",
      properties: { receiveMaximum: 1 },
    });
    await subscriber.client.subscribeAsync("t", { qos: 1 });
    await subscriber.received(10);
    await server.kill();
    await refused(publisher);
    await server.restart();
    await taken(publisher, "last");
    await assertAllComes(subscriber, "last");
    assertToldOnce(broker);
  });

  test("sentinel: the master dies", async (t) => {
    const setup = await startSentinel(t);
    const { broker, publisher, server } = await begin(t, setup);
    await server.with((client) => client.command("WAIT", 2, 5_000));
    await server.kill();
    await refusedOrTaken(publisher);
    await setup.sentinels.replaced(server);
    const subscriber = await connectClient(t, broker.address, { clientId: "subscriber" });
    await subscriber.client.subscribeAsync("t", { qos: 1 });
    await taken(publisher, "last");
    await assertAllComes(subscriber, "last");
    assertToldOnce(broker);
  });

  test("cluster: a master dies", async (t) => {
    const setup = await startCluster(t);
    const { broker, publisher } = await begin(t, setup);
    for (const master of await setup.masters()) await master.with((client) => client.command("WAIT", 1, 5_000));
    const master = await setup.cluster.masterOf("mqtt:msg:t");
    const replaced = setup.cluster.killAndReplace(master);
    await refusedOrTaken(publisher);
    await replaced;
    const subscriber = await connectClient(t, broker.address, { clientId: "subscriber" });
    await subscriber.client.subscribeAsync("t", { qos: 1 });
    await taken(publisher, "last");
    await assertAllComes(subscriber, "last");
    assertToldOnce(broker);
  });
});
