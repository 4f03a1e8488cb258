// Publishers and one receiver at the same time.

import { setTimeout as delay } from "node:timers/promises";
import type { JobResult, LiveJob } from "./jobs.ts";
import { Latencies } from "./latencies.ts";
import { Publisher } from "./publisher.ts";
import { Receiver } from "./receiver.ts";
import { Stopwatch } from "./stopwatch.ts";

/** How long the last messages may take before they count as lost, in ms. */
const LAST_MESSAGES = 10_000;

export async function live(job: LiveJob): Promise<JobResult> {
  const { promise: ended, resolve: end, reject: failed } = Promise.withResolvers<void>();
  const latencies = new Latencies();
  let now = 0;
  let finished = 0;
  const publishers = Array.from({ length: job.publishers }, (_, number) => {
    const { address, window, payloadBytes, topicPerPublisher } = job;
    return new Publisher({
      address,
      window,
      payloadBytes,
      number,
      latencies,
      failed,
      clientId: `bench-publisher-${number}`,
      topic: topicPerPublisher ? `${job.topic}/${number}` : job.topic,
      limit: Number.POSITIVE_INFINITY,
      awaitsReceiver: true,
      finished: () => {
        finished += 1;
        if (finished === job.publishers) end();
      },
    });
  });
  const receiver = new Receiver({
    address: job.address,
    clientId: "bench-receiver",
    clean: true,
    failed,
    received: (publisher) => {
      now ||= performance.now();
      publishers[publisher]?.confirm(now);
    },
    acknowledged: () => {
      now = 0;
      for (const publisher of publishers) publisher.send();
    },
  });
  await Promise.all([receiver, ...publishers].map((client) => client.connect()));
  await receiver.subscribe(job.topicFilter);
  const stopwatch = new Stopwatch(() => receiver.received);
  for (const publisher of publishers) publisher.send();
  await Promise.race([delay(job.warmUp), ended]);
  latencies.clear();
  stopwatch.start();
  await Promise.race([delay(job.duration), ended]);
  const measured = stopwatch.read(latencies);
  for (const publisher of publishers) publisher.stop();
  await Promise.race([delay(LAST_MESSAGES), ended]);
  // What was passed over is never confirmed either.
  const missing = publishers.reduce((sum, publisher) => sum + publisher.unconfirmed, 0);
  await Promise.all([receiver, ...publishers].map((client) => client.close()));
  return { ...measured, disorder: { missing, repeated: receiver.disorder.repeated } };
}
