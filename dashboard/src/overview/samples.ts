// Keeps the samples of the last fifteen minutes, and asks only for those that are new.

import { type Sample, samplesAfter } from "../api/monitor.ts";

const MINUTES_15 = 15 * 60_000;

export class Samples {
  #samples: readonly Sample[] = [];

  /** Rejects with `ApiError`. */
  async load(signal: AbortSignal): Promise<readonly Sample[]> {
    const newest = this.#samples.at(-1)?.time_stamp ?? 0;
    const more = await samplesAfter(newest, signal);
    const all = [...this.#samples, ...more.filter(({ time_stamp }) => time_stamp > newest)];
    const since = (all.at(-1)?.time_stamp ?? 0) - MINUTES_15;
    this.#samples = all.filter(({ time_stamp }) => time_stamp > since);
    return this.#samples;
  }
}
