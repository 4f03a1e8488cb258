// Publishers and receivers at the same time.

import { setTimeout as delay } from "node:timers/promises";
import type { JobResult, LiveJob } from "./jobs.ts";
import type { Publisher } from "./publisher.ts";
import { Publishers } from "./publishers.ts";
import { Receiver } from "./receiver.ts";
import { Stopwatch } from "./stopwatch.ts";

/** How long the last messages may take before they count as lost, in ms. */
const LAST_MESSAGES = 10_000;

export async function live(job: LiveJob): Promise<JobResult> {
  const publishers = new Publishers({ ...job, awaitsReceiver: true });
  /** Those of which the read that is looked at held a message. */
  const confirmed = new Set<Publisher>();
  let now = 0;
  const receivers = job.topicFilters.map(
    (_, number) =>
      new Receiver({
        address: job.address,
        clientId: `bench-receiver-${number}`,
        clean: true,
        failed: publishers.failed,
        received: (publisherNumber) => {
          const publisher = publishers.all[publisherNumber];
          if (publisher === undefined) return;
          now ||= performance.now();
          publisher.confirm(now);
          confirmed.add(publisher);
        },
        acknowledged: () => {
          now = 0;
          for (const publisher of confirmed) publisher.send();
          confirmed.clear();
        },
      }),
  );
  const sum = (of: (receiver: Receiver) => number): number => receivers.reduce((total, each) => total + of(each), 0);
  await Promise.all([publishers.connect(), ...receivers.map((receiver) => receiver.connect())]);
  await Promise.all(receivers.map((receiver, number) => receiver.subscribe(job.topicFilters[number] as string)));
  const measured = await publishers.measure(new Stopwatch(() => sum(({ received }) => received)), job);
  await Promise.race([delay(LAST_MESSAGES), publishers.ended]);
  // What was passed over is never confirmed either.
  const missing = publishers.all.reduce((total, publisher) => total + publisher.unconfirmed, 0);
  await Promise.all([publishers.close(), ...receivers.map((receiver) => receiver.close())]);
  return { ...measured, disorder: { missing, repeated: sum(({ disorder }) => disorder.repeated) } };
}
