// Grouping of calls: order, bounds, deadlines, and that reads and writes do not starve each other.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Call, CallQueue, type CallQueueOptions } from "../../src/store/call-queue.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { within } from "../support/wait-for.ts";

const WRITE = { write: true, weight: 1, bytes: 0 };
const READ = { write: false, weight: 1, bytes: 0 };

/** A queue whose batches wait until the test takes them; what is left over is settled after the test. */
function testQueue(scope: Scope, options: Partial<CallQueueOptions<string>> = {}) {
  const batches: (readonly Call<string>[])[] = [];
  const queue = new CallQueue<string>({
    timeout: 10_000,
    maxCalls: 1_000,
    maxBytes: 1_000,
    batchSize: 4,
    batchBytes: 1_000,
    batchReads: 2,
    flush: (batch) => batches.push(batch),
    timeoutError: (underWay) => new Error(underWay ? "outcome open" : "not executed"),
    fullError: () => new Error("full"),
    ...options,
  });
  function finish(batch: readonly Call<string>[]) {
    queue.flushed();
    for (const call of batch) queue.resolve(call, call.request);
  }
  scope.after(() => {
    queue.resume();
    for (const batch of batches) finish(batch);
    assert.equal(queue.unsettled, 0);
  });
  return { queue, batches, finish, names: () => batches.map((batch) => batch.map(({ request }) => request).join("")) };
}

const microtasks = () => new Promise((resolve) => setImmediate(resolve));

describe("batches", () => {
  test("an idle queue flushes what one turn has called, the next batch what came meanwhile", async (t) => {
    const { queue, names, batches, finish } = testQueue(t);
    const calls = [queue.add("a", WRITE), queue.add("b", WRITE)];
    await microtasks();
    assert.deepEqual(names(), ["ab"]);
    for (const name of "cdefg") calls.push(queue.add(name, WRITE));
    await microtasks();
    assert.deepEqual(names(), ["ab"], "one batch at a time");
    finish(batches[0] ?? []);
    finish(batches[1] ?? []);
    assert.deepEqual(names(), ["ab", "cdef", "g"]);
    finish(batches[2] ?? []);
    assert.deepEqual(await Promise.all(calls), [..."abcdefg"]);
    assert.equal(queue.unsettled, 0);
    await queue.idle();
  });

  test("an owner that ends each batch at once is given all of them, however many there are", async (t) => {
    const count = 50_000;
    const { queue } = testQueue(t, {
      maxCalls: count,
      batchReads: 1,
      flush: (batch) => {
        queue.flushed();
        for (const call of batch) queue.resolve(call, call.request);
      },
    });
    const calls = Array.from({ length: count }, (_, at) => queue.add(String(at), READ));
    assert.equal((await Promise.all(calls)).at(-1), String(count - 1));
  });

  test("a read goes with the writes before it, or later, and never ahead of them", async (t) => {
    const { queue, names, batches, finish } = testQueue(t);
    for (const name of "ab") void queue.add(name, WRITE);
    void queue.add("1", READ);
    for (const name of "cdef") void queue.add(name, WRITE);
    for (const name of "2345") void queue.add(name, READ);
    await microtasks();
    for (let at = 0; at < 4; at++) finish(batches[at] ?? []);
    assert.deepEqual(names(), ["abcd1", "ef23", "45"]);
  });

  test("weights and bytes end a batch, and a first call goes whatever it has", async (t) => {
    const { queue, names, batches, finish } = testQueue(t, { batchBytes: 10 });
    void queue.add("a", { write: true, weight: 9, bytes: 0 });
    void queue.add("b", { write: true, weight: 3, bytes: 0 });
    void queue.add("c", { write: true, weight: 2, bytes: 50 });
    void queue.add("d", { write: true, weight: 1, bytes: 6 });
    void queue.add("e", { write: true, weight: 1, bytes: 6 });
    await microtasks();
    for (let at = 0; at < 5; at++) finish(batches[at] ?? []);
    assert.deepEqual(names(), ["a", "b", "c", "d", "e"]);
  });

  test("what is tried again goes first, in its order", async (t) => {
    const { queue, names, batches } = testQueue(t);
    for (const name of "abcd") void queue.add(name, WRITE);
    void queue.add("1", READ);
    await microtasks();
    void queue.add("e", WRITE);
    const [batch] = batches;
    assert.ok(batch);
    queue.resolve(batch[1] as Call<string>);
    queue.flushed(batch);
    assert.deepEqual(names(), ["abcd1", "acde1"]);
  });

  test("a paused queue hands out nothing until it is resumed", async (t) => {
    const { queue, names } = testQueue(t);
    queue.pause();
    void queue.add("a", WRITE);
    await microtasks();
    assert.deepEqual(names(), []);
    queue.resume();
    await microtasks();
    assert.deepEqual(names(), ["a"]);
  });
});

describe("bounds", () => {
  test("calls above the limit are refused, and taken again once there is room", async (t) => {
    const { queue, batches, finish } = testQueue(t, { maxCalls: 2 });
    const calls = [queue.add("a", WRITE), queue.add("b", READ)];
    await assert.rejects(queue.add("c", WRITE), { message: "full" });
    await microtasks();
    finish(batches[0] ?? []);
    await Promise.all(calls);
    void queue.add("d", WRITE);
    assert.equal(queue.unsettled, 1);
  });

  test("bytes above the limit are refused, except in a call that finds none waiting", async (t) => {
    const { queue, batches, finish } = testQueue(t, { maxBytes: 10 });
    const large = queue.add("a", { write: true, weight: 1, bytes: 500 });
    await assert.rejects(queue.add("b", { write: true, weight: 1, bytes: 1 }), { message: "full" });
    const small = queue.add("c", WRITE);
    for (let at = 0; at < 2; at++) finish(batches[at] ?? []);
    await Promise.all([large, small]);
    void queue.add("d", { write: true, weight: 1, bytes: 10 });
    await assert.rejects(queue.add("e", { write: true, weight: 1, bytes: 1 }), { message: "full" });
  });
});

describe("deadlines", () => {
  test("a waiting call is cancelled and never handed out; one under way is given up", async (t) => {
    const { queue, names, batches, finish } = testQueue(t, { timeout: 50 });
    const underWay = queue.add("a", WRITE);
    await microtasks();
    const waiting = [queue.add("b", WRITE), queue.add("c", READ)];
    await within(assert.rejects(underWay, { message: "outcome open" }), { what: "the first call" });
    for (const call of waiting) await within(assert.rejects(call, { message: "not executed" }), { what: "the others" });
    const later = queue.add("d", WRITE);
    finish(batches[0] ?? []);
    await microtasks();
    assert.deepEqual(names(), ["a", "d"]);
    finish(batches[1] ?? []);
    assert.equal(await later, "d");
  });
});

test("a long queue is worked off in order and in time proportional to its length", async (t) => {
  const count = 50_000;
  const { queue, batches, finish } = testQueue(t, { maxCalls: count, batchSize: 256 });
  const order: number[] = [];
  for (let at = 0; at < count; at++) void queue.add(String(at), WRITE).then((name) => order.push(Number(name)));
  await microtasks();
  for (let at = 0; at < batches.length; at++) finish(batches[at] ?? []);
  await microtasks();
  assert.equal(order.length, count);
  assert.ok(order.every((name, at) => name === at));
});
