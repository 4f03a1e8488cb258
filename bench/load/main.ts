// A load process: takes jobs from its parent, one at a time, and answers each with what it measured.

import { IdleClients, leaveSessions } from "./idle-clients.ts";
import type { Job, JobReply, JobResult } from "./jobs.ts";
import { live } from "./live-job.ts";
import { publish } from "./publish-job.ts";
import { receive } from "./receive-job.ts";

const idle = new IdleClients();

function run(job: Job): Promise<JobResult> {
  switch (job.kind) {
    case "publishFor":
    case "publishCount":
      return publish(job);
    case "live":
      return live(job);
    case "receive":
      return receive(job);
    case "connectIdle":
      return idle.connect(job);
    case "disconnectIdle":
      return idle.disconnect();
    case "leaveSessions":
      return leaveSessions(job);
  }
}

function reply(message: JobReply): void {
  process.send?.(message);
}

process.on("message", (job: Job) => {
  run(job).then(
    (result) => reply({ result }),
    (error: Error) => reply({ error: error.message }),
  );
});
process.on("disconnect", () => process.exit());
