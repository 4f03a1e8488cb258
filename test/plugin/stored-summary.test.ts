// What is stored, for metrics: true, bounded, and asked of the store seldom.

import assert from "node:assert/strict";
import { test } from "node:test";
import { StoredSummaries, type StoredSummary } from "../../src/plugin/stored-summary.ts";
import type { StoreTotals, TopicSummary, TopicsPage, TopicsRequest } from "../../src/store/store.ts";
import { loggerInto } from "../broker/broker-fixture.ts";

/** A store of topics `t0`, `t1` …, of which each has one message more than the one before. */
class CountingStore {
  calls = 0;
  readonly #topics: number;
  fails = false;
  /** What `totals` waits for. */
  gate: Promise<void> = Promise.resolve();

  constructor(topics: number) {
    this.#topics = topics;
  }

  async totals(): Promise<StoreTotals> {
    this.calls += 1;
    await this.gate;
    if (this.fails) throw new Error("away");
    return { messages: 1_000_000, bytes: 10_000_000 };
  }

  async listTopics({ after = "t-1", limit }: TopicsRequest): Promise<TopicsPage> {
    this.calls += 1;
    const first = Number(after.slice(1)) + 1;
    const topics: TopicSummary[] = [];
    for (let at = first; at < Math.min(first + limit, this.#topics); at++) {
      topics.push({ topic: `t${at}`, messages: at + 1, bytes: 10, oldest: 1000 - at });
    }
    const last = topics.at(-1)?.topic;
    return last === undefined || first + limit >= this.#topics ? { topics } : { topics, next: last };
  }
}

test("the largest topics and the oldest message are found across pages", async () => {
  const store = new CountingStore(900);
  const summaries = new StoredSummaries(store, loggerInto([]));
  await summaries.refresh();
  const latest: StoredSummary | undefined = summaries.latest;
  assert.ok(latest);
  const { messages, bytes, largest, oldest } = latest;
  assert.deepEqual([messages, bytes, oldest], [1_000_000, 10_000_000, 101]);
  assert.deepEqual(
    largest.map(({ topic }) => topic),
    Array.from({ length: 20 }, (_, at) => `t${899 - at}`),
  );
});

test("not more than so many topics are looked at; then the oldest message is not known", async () => {
  const store = new CountingStore(1_000_000);
  const summaries = new StoredSummaries(store, loggerInto([]));
  await summaries.refresh();
  assert.equal(store.calls, 1 + 5000 / 500);
  assert.equal(summaries.latest?.oldest, undefined);
  assert.equal(summaries.latest?.largest[0]?.topic, "t4999");
  assert.equal(summaries.latest?.messages, 1_000_000);
});

test("an empty store has no oldest message", async () => {
  const summaries = new StoredSummaries(new CountingStore(0), loggerInto([]));
  await summaries.refresh();
  assert.deepEqual([summaries.latest?.largest, summaries.latest?.oldest], [[], undefined]);
});

test("however often somebody wants to know, the store is asked once in the interval", async () => {
  const store = new CountingStore(3);
  const summaries = new StoredSummaries(store, loggerInto([]));
  await Promise.all(Array.from({ length: 100 }, () => summaries.refresh()));
  for (let again = 0; again < 100; again++) await summaries.refresh();
  assert.equal(store.calls, 2);
  const eager = new StoredSummaries(store, loggerInto([]), 0);
  await eager.refresh();
  assert.equal(store.calls, 4);
});

test("after an answer that took long the store is left alone for many times as long", async () => {
  const store = new CountingStore(3);
  const { promise, resolve } = Promise.withResolvers<void>();
  store.gate = promise;
  const summaries = new StoredSummaries(store, loggerInto([]), 0);
  const slow = summaries.refresh();
  setTimeout(resolve, 600);
  await slow;
  assert.equal(store.calls, 2);
  // 12 seconds from now on.
  await summaries.refresh();
  assert.equal(store.calls, 2);
});

test("nobody waits long for a store that does not answer, and what it cannot tell is not known", async () => {
  const store = new CountingStore(3);
  const log: Parameters<typeof loggerInto>[0] = [];
  const summaries = new StoredSummaries(store, loggerInto(log), 0);
  const { promise, resolve } = Promise.withResolvers<void>();
  store.gate = promise;
  await summaries.refresh();
  assert.equal(summaries.latest, undefined, "it has not answered yet");
  store.fails = true;
  const last = summaries.refresh();
  resolve();
  await last;
  assert.equal(summaries.latest, undefined);
  assert.equal(store.calls, 1, "asked once, by the first");
  assert.deepEqual(
    log.map(({ level }) => level),
    ["debug"],
  );
});
