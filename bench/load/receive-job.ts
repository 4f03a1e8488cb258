// One receiver: until it has so many messages, or until nothing comes any more.

import type { JobResult, ReceiveJob } from "./jobs.ts";
import { Latencies } from "./latencies.ts";
import { Receiver } from "./receiver.ts";
import { Stopwatch } from "./stopwatch.ts";

/** How long nothing may come before the rest counts as lost, in ms. */
const SILENCE = 10_000;

export async function receive(job: ReceiveJob): Promise<JobResult> {
  const { promise: ended, resolve: end, reject: failed } = Promise.withResolvers<void>();
  const { address, clientId, clean, topicFilter, messages } = job;
  const silence = setTimeout(end, SILENCE);
  const receiver: Receiver = new Receiver({
    address,
    clientId,
    clean,
    failed,
    acknowledged: () => {
      silence.refresh();
      if (receiver.received >= messages) end();
    },
  });
  const stopwatch = new Stopwatch(() => receiver.received);
  await receiver.connect();
  if (topicFilter !== undefined) {
    stopwatch.start();
    await receiver.subscribe(topicFilter);
  }
  if (messages > 0) await ended;
  clearTimeout(silence);
  const measured = stopwatch.read(new Latencies(), receiver.disorder);
  await receiver.close();
  return measured;
}
