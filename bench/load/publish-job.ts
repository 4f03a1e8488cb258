// Publishers alone: for a time, or a number of messages.

import type { JobResult, PublishCountJob, PublishForJob } from "./jobs.ts";
import { Publishers } from "./publishers.ts";
import { Stopwatch } from "./stopwatch.ts";

export async function publish(job: PublishForJob | PublishCountJob): Promise<JobResult> {
  const publishers = new Publishers({ ...job, awaitsReceiver: false });
  await publishers.connect();
  const stopwatch = new Stopwatch(() => publishers.acknowledged);
  let measured: JobResult;
  if (job.kind === "publishCount") {
    publishers.start();
    await publishers.ended;
    measured = stopwatch.read(publishers.latencies);
  } else {
    measured = await publishers.measure(stopwatch, job);
    await publishers.ended;
  }
  await publishers.close();
  return measured;
}
