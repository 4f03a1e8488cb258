// `kill -9` of the broker: what was acknowledged to a publisher arrives, what a subscriber acknowledged does not again.

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { connectClient, publishMany } from "../support/mqtt-client.ts";
import { startBroker, storeFile } from "../support/omp.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const PUBLISHERS = 5;

function storedMessages(dataDirectory: string): number {
  const database = new DatabaseSync(storeFile(dataDirectory), { readOnly: true });
  try {
    return Number(database.prepare("SELECT count(*) AS messages FROM mqtt_msg").get()?.messages);
  } finally {
    database.close();
  }
}

for (const qos of [1, 2] as const) {
  test(`killed in the middle of a stream of QoS ${qos} publishes: every acknowledged one arrives`, async (t) => {
    const dataDirectory = temporaryDirectory(t);
    const broker = await startBroker(t, { dataDirectory });
    const acknowledged: string[] = [];
    const publishers = await Promise.all(
      Array.from({ length: PUBLISHERS }, (_, index) =>
        connectClient(t, broker.address, { clientId: `publisher-${index}` }),
      ),
    );
    const streams = publishers.map(async ({ client }, publisher) => {
      const lane = async (lane: number): Promise<void> => {
        for (let index = 0; ; index += 1) {
          const payload = `${publisher}-${lane}-${index}`;
          await client.publishAsync(`t/${publisher}`, payload, { qos });
          acknowledged.push(payload);
        }
      };
      await Promise.allSettled(Array.from({ length: 10 }, (_, number) => lane(number)));
    });
    await waitFor(() => acknowledged.length > 500, { what: "500 acknowledged publishes" });
    await broker.stop("SIGKILL");
    for (const { client } of publishers) client.end(true);
    await Promise.all(streams);

    const again = await startBroker(t, { dataDirectory });
    const subscriber = await connectClient(t, again.address, { clientId: "subscriber" });
    await subscriber.client.subscribeAsync("t/#", { qos: 2 });
    const arrived = (): Set<string> => new Set(subscriber.payloads);
    await waitFor(() => acknowledged.every((payload) => arrived().has(payload)), {
      what: "every acknowledged message",
      interval: 50,
    });
    assert.equal(arrived().size, subscriber.payloads.length, "nothing arrives twice");
  });
}

test("killed while a subscriber drains: what it had not acknowledged arrives again, what it had does not", async (t) => {
  const [count, taken] = [1000, 400];
  const dataDirectory = temporaryDirectory(t);
  const broker = await startBroker(t, { dataDirectory });
  const publisher = await connectClient(t, broker.address);
  await publishMany(publisher, () => "t", count);
  const subscriber = await connectClient(t, broker.address, { clientId: "subscriber" });
  const acknowledged: string[] = [];
  const held: string[] = [];
  subscriber.client.handleMessage = ({ payload }, acknowledge) => {
    if (acknowledged.length >= taken) {
      held.push(payload.toString());
      return;
    }
    acknowledged.push(payload.toString());
    acknowledge();
  };
  await subscriber.client.subscribeAsync("t", { qos: 1 });
  await waitFor(() => held.length > 0 && storedMessages(dataDirectory) === count - taken, {
    what: "the acknowledged messages to be removed",
  });
  await broker.stop("SIGKILL");

  const again = await startBroker(t, { dataDirectory });
  const back = await connectClient(t, again.address, { clientId: "subscriber" });
  await back.received(count - taken);
  const expected = Array.from({ length: count - taken }, (_, index) => String(taken + index));
  assert.deepEqual(back.payloads, expected);
  await waitFor(() => storedMessages(dataDirectory) === 0, { what: "an empty store" });
});

test("killed in the middle of a drain at full speed: nothing is lost", async (t) => {
  const count = 5000;
  const dataDirectory = temporaryDirectory(t);
  const broker = await startBroker(t, { dataDirectory });
  const publisher = await connectClient(t, broker.address);
  await publishMany(publisher, () => "t", count);
  const subscriber = await connectClient(t, broker.address, { clientId: "subscriber" });
  await subscriber.client.subscribeAsync("t", { qos: 1 });
  await waitFor(() => subscriber.packets.length > 300, { what: "a part of the backlog", interval: 1 });
  await broker.stop("SIGKILL");
  const first = [...subscriber.payloads];
  assert.ok(first.length < count, `killed in the middle, after ${first.length}`);

  const again = await startBroker(t, { dataDirectory });
  const back = await connectClient(t, again.address, { clientId: "subscriber" });
  await waitFor(
    () => new Set([...first, ...back.payloads]).size === count && back.payloads.at(-1) === String(count - 1),
    {
      what: "the rest of the backlog",
    },
  );
  const repeated = new Set(first);
  const repeats = back.payloads.filter((payload) => repeated.has(payload));
  t.diagnostic(`${first.length} before the kill, ${repeats.length} of them again: their removal was under way`);
  assert.deepEqual(repeats, first.slice(first.length - repeats.length), "only the last ones come again");
});
