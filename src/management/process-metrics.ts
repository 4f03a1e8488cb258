// The process's metrics, by the names that Prometheus's clients for Node.js give them.
//
// Not prom-client's own defaults: those cannot be stopped, and watch every garbage collection.

import { monitorEventLoopDelay } from "node:perf_hooks";
import { counter, gauge, type MetricDefinition } from "./metric-definition.ts";

/** How exactly the delay of the event loop is measured, in ms. */
const RESOLUTION = 20;

/** Measures from `start` to `stop`. */
export class ProcessMetrics {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  readonly definitions: readonly MetricDefinition[] = [
    counter("process_cpu_seconds_total", "Processor time, of all threads", () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    }),
    gauge("process_resident_memory_bytes", "Resident memory", () => process.memoryUsage.rss()),
    gauge("process_start_time_seconds", "When the process started, since 1970", () => {
      return Math.round(performance.timeOrigin / 1000);
    }),
    gauge("nodejs_heap_size_used_bytes", "JavaScript objects, of the main thread", () => {
      return process.memoryUsage().heapUsed;
    }),
    gauge("nodejs_eventloop_lag_p50_seconds", "Delay of the event loop since the start, median", () => this.#lag(50)),
    gauge("nodejs_eventloop_lag_p99_seconds", "Delay of the event loop since the start, 99th percentile", () =>
      this.#lag(99),
    ),
    gauge("nodejs_eventloop_lag_max_seconds", "Delay of the event loop since the start, the longest", () =>
      this.#seconds(this.#delay.max),
    ),
  ];

  start(): void {
    this.#delay.enable();
  }

  stop(): void {
    this.#delay.disable();
  }

  #lag(percentile: number): number {
    return this.#seconds(this.#delay.percentile(percentile));
  }

  /** What was measured is the time between two looks, in ns; 0 before the first. */
  #seconds(nanoseconds: number): number {
    return this.#delay.count === 0 ? 0 : Math.max(0, nanoseconds / 1e9 - RESOLUTION / 1000);
  }
}
