// Waits for something, but not for longer than a time.

import { setTimeout as wait } from "node:timers/promises";

/** Waits for a promise that never rejects; whether it settled in time (ms). */
export async function withinTime(promise: Promise<void>, time: number): Promise<boolean> {
  const stop = new AbortController();
  const timeout = wait(Math.max(1, time), false, { signal: stop.signal }).catch(() => false);
  const settled = await Promise.race([promise.then(() => true), timeout]);
  stop.abort();
  return settled;
}
