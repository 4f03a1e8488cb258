// Remembers what the broker did in the last fifteen minutes: a sample every few seconds, in a ring of fixed size.

import type { Metrics } from "../../broker/metrics.ts";
import type { PluginMetrics } from "../prometheus.ts";

/** Between two samples, in ms. */
const INTERVAL = 3000;
const MAX_SAMPLES = (15 * 60_000) / INTERVAL;

/** Times in ms since the epoch; rates per second, since the sample before. Null: no plugin stores, or its store cannot tell. */
export interface Sample {
  readonly time_stamp: number;
  /** Sessions, those of clients that are away included. */
  readonly connections: number;
  readonly live_connections: number;
  readonly received_msg_rate: number;
  readonly sent_msg_rate: number;
  readonly stored_msg_rate: number;
  readonly acknowledged_msg_rate: number;
  /** Publishes that were refused since the sample before, because a limit of the store was reached. */
  readonly limit_refused: number;
  readonly backlog_messages: number | null;
  readonly backlog_bytes: number | null;
  readonly oldest_publish_at: number | null;
}

/** What is counted from some start on. */
interface Counted {
  /** Of the monotonic clock, in ms. */
  readonly at: number;
  readonly received: number;
  readonly sent: number;
  readonly stored: number;
  readonly acknowledged: number;
  readonly limitRefused: number;
}

export class Monitor {
  /** Undefined: none runs. */
  plugin: PluginMetrics | undefined;
  readonly #metrics: Metrics;
  readonly #samples: Sample[] = [];
  #before: Counted;
  #timer: NodeJS.Timeout | undefined;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    this.#before = this.#count();
  }

  /** Begins with a first sample. `interval` in ms: for tests. */
  start(interval = INTERVAL): void {
    this.#before = this.#count();
    this.#take();
    this.#timer = setInterval(() => void this.#askAndTake(), interval);
    this.#timer.unref();
  }

  /** A sample with what the store says now, or said last where it takes long. */
  async #askAndTake(): Promise<void> {
    await this.plugin?.stored.refresh();
    this.#take();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The samples after that time, the oldest first. */
  after(time: number): readonly Sample[] {
    return this.#samples.filter(({ time_stamp }) => time_stamp > time);
  }

  #take(): void {
    const count = this.#count();
    const before = this.#before;
    this.#before = count;
    const seconds = (count.at - before.at) / 1000;
    // A plugin that was started anew counts from 0.
    const rate = (of: "received" | "sent" | "stored" | "acknowledged"): number =>
      seconds === 0 ? 0 : Math.max(0, count[of] - before[of]) / seconds;
    const stored = this.plugin?.stored.latest;
    this.#samples.push({
      time_stamp: Date.now(),
      connections: this.#metrics.sessions,
      live_connections: this.#metrics.connections,
      received_msg_rate: rate("received"),
      sent_msg_rate: rate("sent"),
      stored_msg_rate: rate("stored"),
      acknowledged_msg_rate: rate("acknowledged"),
      limit_refused: Math.max(0, count.limitRefused - before.limitRefused),
      backlog_messages: stored?.messages ?? null,
      backlog_bytes: stored?.bytes ?? null,
      oldest_publish_at: stored?.oldest ?? null,
    });
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
  }

  #count(): Counted {
    const { messagesReceived, messagesSent } = this.#metrics;
    const counters = this.plugin?.counters;
    return {
      at: performance.now(),
      received: sum(messagesReceived),
      sent: sum(messagesSent),
      stored: counters?.stored ?? 0,
      acknowledged: counters?.acknowledged ?? 0,
      limitRefused: counters?.refused.limit ?? 0,
    };
  }
}

function sum(byQos: readonly number[]): number {
  return byQos.reduce((total, count) => total + count, 0);
}
