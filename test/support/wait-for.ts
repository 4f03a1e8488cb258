// Waits for a condition, with a bound and a message that says what was waited for.

import { setTimeout as delay } from "node:timers/promises";

export interface WaitOptions {
  /** What is waited for, in words; part of the error. */
  readonly what: string;
  /** Bound in ms. */
  readonly timeout?: number;
  /** Time between two looks in ms. */
  readonly interval?: number;
}

/** Settles with the first truthy value that `condition` gives; rejects when the bound is reached or `condition` throws. */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { what, timeout = 10_000, interval = 5 }: WaitOptions,
): Promise<NonNullable<T>> {
  const end = performance.now() + timeout;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`waited ${timeout} ms in vain for: ${what}`);
    await delay(interval);
  }
}

/** Settles as `promise` does, or rejects when the bound is reached. */
export async function within<T>(promise: Promise<T>, { what, timeout = 10_000 }: WaitOptions): Promise<T> {
  const { promise: bound, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`waited ${timeout} ms in vain for: ${what}`)), timeout);
  try {
    return await Promise.race([promise, bound]);
  } finally {
    clearTimeout(timer);
  }
}
