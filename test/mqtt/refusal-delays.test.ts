// Delays after refusals: they grow per client, are forgotten after a success, and are bounded in number.

import assert from "node:assert/strict";
import { test } from "node:test";
import { RefusalDelays } from "../../src/mqtt/refusal-delays.ts";

test("the delay doubles for each refusal of a client, up to 30 seconds", () => {
  const delays = new RefusalDelays();
  assert.deepEqual(
    Array.from({ length: 7 }, () => delays.next("a")),
    [1, 2, 4, 8, 16, 30, 30],
  );
  assert.equal(delays.next("b"), 1);
  delays.reset("a");
  assert.equal(delays.next("a"), 1);
  for (let count = 0; count < 2000; count++) delays.next("b");
  assert.equal(delays.next("b"), 30);
});

test("at most 10,000 clients are remembered; the longest unseen is forgotten", () => {
  const delays = new RefusalDelays();
  for (let at = 0; at < 10_000; at++) delays.next(`c${at}`);
  delays.next("c0");
  delays.next("new");
  assert.equal(delays.size, 10_000);
  assert.equal(delays.next("c0"), 4);
  assert.equal(delays.next("c1"), 1);
});
