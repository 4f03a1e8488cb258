// max_messages, max_bytes and max_messages_per_topic, with both overflow policies.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { StoreLimitError, StoreTooLargeError } from "../../src/store/errors.ts";
import type { SqliteStoreOptions } from "../../src/store/sqlite/options.ts";
import { keyOf, payloads, sampleMessage, sampleMessages, saveAll } from "./sample-messages.ts";
import { startStore } from "./sqlite-stores.ts";

const LIMITS: readonly (readonly [key: string, options: Partial<SqliteStoreOptions>])[] = [
  ["max_messages", { maxMessages: 10 }],
  ["max_bytes", { maxBytes: 10 }],
  ["max_messages_per_topic", { maxMessagesPerTopic: 10 }],
];

describe("overflow = reject", () => {
  for (const [key, options] of LIMITS) {
    test(`${key} refuses what is above it, within a batch and across, and takes more once there is room`, async (t) => {
      const { store, healths } = await startStore(t, { ...options, overflow: "reject" });
      const messages = Array.from({ length: 15 }, () => sampleMessage("t", "x"));
      const outcomes = await Promise.allSettled(messages.map((message) => store.saveMessage(message)));
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        [...Array(10).fill("fulfilled"), ...Array(5).fill("rejected")],
      );
      const { reason } = outcomes[10] as PromiseRejectedResult;
      assert.ok(reason instanceof StoreLimitError && reason.temporary);
      assert.match(reason.message, new RegExp(`${key} \\(10\\)`));
      await assert.rejects(store.saveMessage(sampleMessage("t", "x")), StoreLimitError);
      await store.saveMessage(messages[0] as (typeof messages)[0]);
      await store.deleteMessages([keyOf(messages[0] as (typeof messages)[0])]);
      await store.saveMessage(sampleMessage("t", "y"));
      await assert.rejects(store.saveMessage(sampleMessage("t", "x")), StoreLimitError);
      assert.deepEqual(healths, [], "a limit is no fault of the database");
    });

    test(`${key} holds after a restart`, async (t) => {
      const first = await startStore(t, options);
      await saveAll(
        first.store,
        Array.from({ length: 10 }, () => sampleMessage("t", "x")),
      );
      await first.store.stop();
      const { store } = await startStore(t, { ...options, path: first.path });
      await assert.rejects(store.saveMessage(sampleMessage("t", "x")), StoreLimitError);
    });
  }

  test("max_messages_per_topic leaves other topics alone", async (t) => {
    const { store } = await startStore(t, { maxMessagesPerTopic: 2 });
    await saveAll(store, [...sampleMessages("a", 2), ...sampleMessages("b", 2)]);
    await assert.rejects(store.saveMessage(sampleMessage("a")), StoreLimitError);
    await store.saveMessage(sampleMessage("c"));
  });
});

describe("overflow = drop_oldest", () => {
  test("max_messages drops the oldest of all, within a batch and across", async (t) => {
    const started = await startStore(t, { maxMessages: 5, overflow: "drop_oldest" });
    const { store } = started;
    const messages = Array.from({ length: 12 }, (_, at) => sampleMessage(`t/${at % 3}`, String(at)));
    await saveAll(store, messages);
    assert.deepEqual(await payloads(store, "#"), ["7", "8", "9", "10", "11"]);
    assert.equal(started.dropped, 7);
    await store.saveMessage(sampleMessage("t/0", "12"));
    assert.deepEqual(await payloads(store, "#"), ["8", "9", "10", "11", "12"]);
    assert.equal(started.dropped, 8);
    assert.deepEqual(await store.totals(), { messages: 5, bytes: 8 });
  });

  test("max_messages_per_topic drops the oldest of the topic", async (t) => {
    const started = await startStore(t, { maxMessagesPerTopic: 2, overflow: "drop_oldest" });
    const { store } = started;
    await saveAll(store, [...sampleMessages("a", 2), ...sampleMessages("b", 5), sampleMessage("a", "2")]);
    assert.deepEqual(await payloads(store, "a"), ["1", "2"]);
    assert.deepEqual(await payloads(store, "b"), ["3", "4"]);
    assert.equal(started.dropped, 4);
  });

  test("max_bytes drops as many as it takes, and refuses what is larger than the whole store", async (t) => {
    const started = await startStore(t, { maxBytes: 100, overflow: "drop_oldest" });
    const { store } = started;
    await saveAll(
      store,
      ["a", "b", "c", "d"].map((letter) => sampleMessage("t", letter.repeat(25))),
    );
    await store.saveMessage(sampleMessage("t", "e".repeat(60)));
    assert.deepEqual(
      (await payloads(store, "t")).map((text) => text[0]),
      ["d", "e"],
    );
    assert.equal(started.dropped, 3);
    await assert.rejects(store.saveMessage(sampleMessage("t", "x".repeat(101))), StoreTooLargeError);
    assert.deepEqual(await store.totals(), { messages: 2, bytes: 85 });
    await store.saveMessage(sampleMessage("t", "f".repeat(100)));
    assert.deepEqual(await store.totals(), { messages: 1, bytes: 100 });
  });

  test("a limit that was lowered is reached over several messages", async (t) => {
    const first = await startStore(t);
    await saveAll(first.store, sampleMessages("t", 3_000));
    await first.store.stop();
    const { store } = await startStore(t, { path: first.path, maxMessages: 10, overflow: "drop_oldest" });
    await store.saveMessage(sampleMessage("t"));
    assert.equal((await store.totals()).messages, 3_001 - 1_024);
    await saveAll(store, sampleMessages("t", 2));
    assert.equal((await store.totals()).messages, 10);
  });
});

test("a payload above SQLite's own limit is refused for good", async (t) => {
  const { store } = await startStore(t);
  // Never touched, so it takes no memory.
  const payload = new Uint8Array(1_000_000_000);
  await assert.rejects(store.saveMessage(sampleMessage("t", payload)), StoreTooLargeError);
});
