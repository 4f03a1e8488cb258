// Pages of a large store: every way through the table gives the same messages, and none is slow.

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { topicMatches } from "../../src/mqtt/topic.ts";
import { keyOf, listAll, payloads, readAll, sampleMessage, saveAll, textOf } from "./sample-messages.ts";
import { startStore } from "./sqlite-stores.ts";

/** More than a busy machine needs for 400 pages, in ms: only what hangs takes longer. */
const HANGS = 10_000;

/** A small generator, so that a failing run can be repeated. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("random topics, filters, deletions and page sizes: the same as matching one by one", async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  t.diagnostic(`SEED=${seed}`);
  const random = randomNumbers(seed);
  const { store } = await startStore(t);
  const level = () => ["a", "b", "c", "", "d e", "ü", "$x"][random(7)] as string;
  const topic = () => {
    const text = Array.from({ length: 1 + random(4) }, level).join("/");
    return text === "" ? "a" : text;
  };
  const filter = () => {
    const levels = topic()
      .split("/")
      .map((name) => (random(3) === 0 ? "+" : name));
    return random(2) === 0 ? [...levels.slice(0, 1 + random(3)), "#"].join("/") : levels.join("/");
  };
  let stored = Array.from({ length: 1_500 }, (_, at) => sampleMessage(topic(), String(at)));
  await saveAll(store, stored);
  for (let round = 0; round < 150; round++) {
    const gone = stored.filter(() => random(50) === 0);
    await store.deleteMessages(gone.map(keyOf));
    stored = stored.filter((message) => !gone.includes(message));
    const topicFilter = random(10) === 0 ? "#" : filter();
    const expected = stored.filter((message) => topicMatches(topicFilter, message.topic)).map(textOf);
    assert.deepEqual(await payloads(store, topicFilter, 1 + random(300)), expected, `${topicFilter}, SEED=${seed}`);
  }
});

test("a few messages among many of other topics are found, whatever the number of topics", async (t) => {
  const { store } = await startStore(t);
  const others = Array.from({ length: 9_000 }, (_, at) => sampleMessage(`device/${at % 3_000}/state`, "other"));
  const wanted = Array.from({ length: 6 }, (_, at) => sampleMessage(`device/${at * 500}/order`, String(at)));
  await saveAll(store, [...others.slice(0, 4_500), ...wanted.slice(0, 3), ...others.slice(4_500), ...wanted.slice(3)]);
  assert.deepEqual(await payloads(store, "device/+/order", 2), ["0", "1", "2", "3", "4", "5"]);
  assert.deepEqual(await payloads(store, "device/500/#", 1), ["other", "other", "1", "other"]);
  assert.equal((await readAll(store, "device/+/state", { maxMessages: 1_000 })).length, 9_000);
  // One call looks at a bounded number of rows: the first finds nothing yet, and says where to read on.
  const page = await store.readPage({ topicFilter: "device/+/order", maxMessages: 2, maxBytes: 1_000 });
  assert.equal(page.messages.length, 0);
  assert.notEqual(page.next, undefined);
});

test("a long run of expired messages is passed in bounded steps", async (t) => {
  const { store } = await startStore(t);
  const expired = Array.from({ length: 10_000 }, () => sampleMessage("e/1", "expired", { expiresAt: 1 }));
  await saveAll(store, [...expired, sampleMessage("e/1", "one"), sampleMessage("e/2", "two")]);
  const page = await store.readPage({ topicFilter: "e/1", maxMessages: 10, maxBytes: 1_000 });
  assert.equal(page.messages.length, 0);
  assert.notEqual(page.next, undefined);
  assert.deepEqual(await payloads(store, "e/1"), ["one"]);
  assert.deepEqual(await payloads(store, "e/+"), ["one", "two"]);
});

for (const [topicFilter, topicCount] of [
  ["t/1", 2],
  ["t/+", 3],
  ["t/#", 20_000],
] as const) {
  test(`draining ${topicFilter} in small pages comes to its end`, async (t) => {
    const { store } = await startStore(t);
    const count = 20_000;
    await saveAll(
      store,
      Array.from({ length: count }, (_, at) => sampleMessage(topicCount === 2 ? "t/1" : `t/${at % topicCount}`, "x")),
    );
    const began = performance.now();
    assert.equal((await readAll(store, topicFilter, { maxMessages: 50 })).length, count);
    const took = performance.now() - began;
    t.diagnostic(`${took.toFixed(0)} ms`);
    assert.ok(took < HANGS, `${took} ms`);
  });
}

test("rows written by hand in the sqlite3 shell are read and counted", async (t) => {
  const { store, path } = await startStore(t);
  await store.saveMessage(sampleMessage("t/1", "ours"));
  const other = new DatabaseSync(path);
  other.exec(`
    INSERT INTO mqtt_msg (msgid, topic, qos, payload, arrived, properties)
    VALUES ('${"A".repeat(32)}', 't/2', 1, 'text', '2031-01-02 03:04:05', 'no JSON'), ('${"B".repeat(32)}', 't/2', 2, NULL, '2031-01-02', NULL);
    INSERT INTO mqtt_sub (clientid, topic, qos) VALUES ('c', 't/#', 1);`);
  await store.saveMessage(sampleMessage("t/1", "ours again"));
  assert.deepEqual(await payloads(store, "t/#"), ["ours", "text", "", "ours again"]);
  assert.deepEqual(await store.totals(), { messages: 4, bytes: 18 });
  const [, byHand] = await readAll(store, "#");
  assert.equal(byHand?.message.timestamp, Date.UTC(2031, 0, 2, 3, 4, 5));
  assert.deepEqual(await store.listSubscriptions("c"), [
    { clientId: "c", topicFilter: "t/#", qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 0 },
  ]);
  other.exec("DELETE FROM mqtt_msg WHERE topic = 't/1'");
  other.close();
  await store.stop();
  const again = await startStore(t, { path });
  assert.deepEqual(await again.store.totals(), { messages: 2, bytes: 4 });
  assert.deepEqual(
    (await listAll(again.store, { topicFilter: "#", limit: 9 })).map(({ topic, messages, bytes }) => [
      topic,
      messages,
      bytes,
    ]),
    [["t/2", 2, 4]],
  );
});
