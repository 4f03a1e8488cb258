// The publishers of a job: all of them connected, started, measured and stopped together.

import { setTimeout as delay } from "node:timers/promises";
import type { JobResult, PublishersOptions } from "./jobs.ts";
import { Latencies } from "./latencies.ts";
import { Publisher } from "./publisher.ts";
import type { Stopwatch } from "./stopwatch.ts";

export class Publishers {
  readonly all: readonly Publisher[];
  readonly latencies = new Latencies();
  /** Resolves when every publisher has finished; rejects when a client has failed. */
  readonly ended: Promise<void>;
  /** Ends the job with an error. */
  readonly failed: (error: Error) => void;

  /** Without `messages` they publish until `stop`, else as many, in equal parts. */
  constructor(options: PublishersOptions & { readonly awaitsReceiver: boolean; readonly messages?: number }) {
    const { address, publishers, window, payloadBytes, topic, topicPerPublisher, awaitsReceiver, messages } = options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ended = promise;
    this.failed = reject;
    // Clients may fail before anybody waits for the end; whoever waits then gets the error.
    promise.catch(() => {});
    const share = (at: number): number => Math.floor(((messages ?? 0) * at) / publishers);
    let finished = 0;
    this.all = Array.from(
      { length: publishers },
      (_, number) =>
        new Publisher({
          address,
          window,
          payloadBytes,
          number,
          awaitsReceiver,
          latencies: this.latencies,
          failed: reject,
          clientId: `bench-publisher-${number}`,
          topic: topicPerPublisher ? `${topic}/${number}` : topic,
          limit: messages === undefined ? Number.POSITIVE_INFINITY : share(number + 1) - share(number),
          finished: () => {
            finished += 1;
            if (finished === publishers) resolve();
          },
        }),
    );
  }

  get acknowledged(): number {
    return this.all.reduce((sum, publisher) => sum + publisher.acknowledged, 0);
  }

  async connect(): Promise<void> {
    await Promise.all(this.all.map((publisher) => publisher.connect()));
  }

  start(): void {
    for (const publisher of this.all) publisher.send();
  }

  /** Starts them, measures after the warm-up, and lets them send nothing more. Times in ms. */
  async measure(stopwatch: Stopwatch, { warmUp, duration }: Stretch): Promise<JobResult> {
    this.start();
    await Promise.race([delay(warmUp), this.ended]);
    this.latencies.clear();
    stopwatch.start();
    await Promise.race([delay(duration), this.ended]);
    const measured = stopwatch.read(this.latencies);
    for (const publisher of this.all) publisher.stop();
    return measured;
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((publisher) => publisher.close()));
  }
}

interface Stretch {
  readonly warmUp: number;
  readonly duration: number;
}
