// Measures a stretch of a job: messages, time, and processor time of this process.

import type { JobResult } from "./jobs.ts";
import type { Latencies } from "./latencies.ts";
import type { Disorder } from "./receiver.ts";

const IN_ORDER: Disorder = { missing: 0, repeated: 0 };

export class Stopwatch {
  readonly #count: () => number;
  #messages = 0;
  #time = 0;
  #cpu = process.cpuUsage();

  /** Starts at once. */
  constructor(count: () => number) {
    this.#count = count;
    this.start();
  }

  start(): void {
    this.#messages = this.#count();
    this.#time = performance.now();
    this.#cpu = process.cpuUsage();
  }

  read(latencies: Latencies, disorder = IN_ORDER): JobResult {
    const { user, system } = process.cpuUsage(this.#cpu);
    return {
      messages: this.#count() - this.#messages,
      seconds: (performance.now() - this.#time) / 1000,
      p50: latencies.percentile(0.5),
      p99: latencies.percentile(0.99),
      disorder,
      cpuSeconds: (user + system) / 1e6,
    };
  }
}
