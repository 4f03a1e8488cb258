// Publishers alone: for a time, or a number of messages.

import { setTimeout as delay } from "node:timers/promises";
import type { JobResult, PublishCountJob, PublishForJob } from "./jobs.ts";
import { Latencies } from "./latencies.ts";
import { Stopwatch } from "./stopwatch.ts";
import { Publisher } from "./publisher.ts";

export async function publish(job: PublishForJob | PublishCountJob): Promise<JobResult> {
  const { promise: ended, resolve: end, reject: failed } = Promise.withResolvers<void>();
  const latencies = new Latencies();
  let finished = 0;
  const publishers = Array.from({ length: job.publishers }, (_, number) => {
    const { address, window, payloadBytes, topicPerPublisher } = job;
    const share = (at: number): number =>
      job.kind === "publishCount" ? Math.floor((job.messages * at) / job.publishers) : 0;
    return new Publisher({
      address,
      window,
      payloadBytes,
      number,
      latencies,
      failed,
      clientId: `bench-publisher-${number}`,
      topic: topicPerPublisher ? `${job.topic}/${number}` : job.topic,
      limit: job.kind === "publishCount" ? share(number + 1) - share(number) : Number.POSITIVE_INFINITY,
      awaitsReceiver: false,
      finished: () => {
        finished += 1;
        if (finished === job.publishers) end();
      },
    });
  });
  const acknowledged = (): number => publishers.reduce((sum, publisher) => sum + publisher.acknowledged, 0);
  await Promise.all(publishers.map((publisher) => publisher.connect()));
  const stopwatch = new Stopwatch(acknowledged);
  for (const publisher of publishers) publisher.send();
  if (job.kind === "publishCount") {
    await ended;
    const measured = stopwatch.read(latencies);
    await Promise.all(publishers.map((publisher) => publisher.close()));
    return measured;
  }
  await Promise.race([delay(job.warmUp), ended]);
  latencies.clear();
  stopwatch.start();
  await Promise.race([delay(job.duration), ended]);
  const measured = stopwatch.read(latencies);
  for (const publisher of publishers) publisher.stop();
  await ended;
  await Promise.all(publishers.map((publisher) => publisher.close()));
  return measured;
}
