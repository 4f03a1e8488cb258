// The list that queues are made of, against a plain array.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Fifo } from "../../src/mqtt/fifo.ts";
import { seededRandom } from "./seed.ts";

test("it does what an array does, through any sequence of calls", () => {
  const random = seededRandom("fifo");
  const fifo = new Fifo<number>();
  let expected: number[] = [];
  for (let step = 0; step < 20_000; step++) {
    // Phases in which it grows and shrinks alternate.
    const grows = Math.floor(step / 500) % 2 === 0;
    if (random.chance(grows ? 0.7 : 0.3)) {
      fifo.push(step);
      expected.push(step);
    } else {
      assert.equal(fifo.peek(), expected[0]);
      assert.equal(fifo.shift(), expected.shift());
    }
    if (random.chance(0.005)) {
      const divisor = 2 + random.below(5);
      assert.deepEqual(
        fifo.extract((item) => item % divisor === 0),
        expected.filter((item) => item % divisor === 0),
      );
      expected = expected.filter((item) => item % divisor !== 0);
    }
    assert.equal(fifo.length, expected.length);
  }
  assert.deepEqual([...fifo], expected);
  fifo.replace([7, 8]);
  assert.deepEqual([...fifo], [7, 8]);
});

test("what is put back goes out first, in its order", () => {
  const fifo = new Fifo<number>();
  for (const item of [1, 2, 3, 4]) fifo.push(item);
  const taken = [fifo.shift(), fifo.shift()] as number[];
  fifo.putBack(taken);
  fifo.putBack([]);
  assert.deepEqual([...fifo], [1, 2, 3, 4]);
  assert.equal(fifo.shift(), 1);
});
