// Random values that can be had again: tests print the seed, and MQTT_TEST_SEED sets it.

import { randomInt } from "node:crypto";

export interface Random {
  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number;
  bytes(length: number): Buffer;
  pick<T>(choices: readonly T[]): T;
  chance(probability: number): boolean;
}

/** Prints the seed of this test and gives its random values. */
export function seededRandom(name: string): Random {
  const seed = Number(process.env.MQTT_TEST_SEED ?? randomInt(2 ** 31));
  console.log(`${name}: MQTT_TEST_SEED=${seed}`);
  let state = seed >>> 0;
  // mulberry32: 32 bits of state, good enough to vary test data.
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    bytes: (length) => Buffer.from(Array.from({ length }, () => below(256))),
    pick: (choices) => choices[below(choices.length)] as (typeof choices)[number],
    chance: (probability) => next() < probability,
  };
}
