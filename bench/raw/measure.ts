// Repeats work for a time and counts it, for the raw database servers.

import { Latencies } from "../load/latencies.ts";
import type { RawResult } from "./jobs.ts";

/** Repeats a step on so many lanes until the time is over; a step gives the number of its messages. */
export async function measure(
  { warmUp, duration }: { readonly warmUp: number; readonly duration: number },
  lanes: readonly (() => Promise<number>)[],
): Promise<RawResult> {
  const latencies = new Latencies();
  const begin = performance.now();
  const from = begin + warmUp;
  const end = from + duration;
  let messages = 0;
  const run = async (step: () => Promise<number>): Promise<void> => {
    for (let started = begin; started < end; ) {
      const count = await step();
      const now = performance.now();
      if (now >= from && now < end) {
        messages += count;
        latencies.record(now - started);
      }
      started = now;
    }
  };
  await Promise.all(lanes.map(run));
  return { messages, seconds: duration / 1000, p50: latencies.percentile(0.5), p99: latencies.percentile(0.99) };
}
