// The load generator as its user sees it: a process of its own that does one job after the other.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Job, JobReply, JobResult } from "./load/jobs.ts";

const main = fileURLToPath(new URL("load/main.ts", import.meta.url));

export class LoadGenerator {
  readonly #process: ChildProcess = fork(main);

  /** Rejects when the broker does what it must not, or the process dies. */
  async run(job: Job): Promise<JobResult> {
    const over = new AbortController();
    const { signal } = over;
    this.#process.send(job);
    try {
      const reply = await Promise.race([
        once(this.#process, "message", { signal }).then(([message]) => message as JobReply),
        once(this.#process, "exit", { signal }).then(() => ({ error: "the load process died" })),
      ]);
      if ("error" in reply) throw new Error(`${job.kind}: ${reply.error}`);
      return reply.result;
    } finally {
      over.abort();
    }
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.disconnect();
    await exited;
  }
}
