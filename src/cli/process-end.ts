// How the process ends: with an exit code, and at any rate.
//
// `process.exit` waits for every worker thread, and a thread in a system call that never returns (a dead network drive)
// cannot be ended from inside the process. Only a signal whose handling is the kernel's ends it then.

import { setTimeout as delay } from "node:timers/promises";
import type { Worker } from "node:worker_threads";

/** How long threads that were told to end, and the last log entries, are waited for, in ms. */
const PATIENCE = 2_000;
const LOOK_INTERVAL = 10;

/** What `ProcessEnd` needs of the log. */
export interface WaitingLog {
  /** Entries wait for a reader. */
  readonly isWaiting: boolean;
}

export class ProcessEnd {
  readonly #log: WaitingLog;
  readonly #workers = new Set<Worker>();

  /** Threads that are started before this are not seen. */
  constructor(log: WaitingLog) {
    this.#log = log;
    process.on("worker", (worker) => {
      this.#workers.add(worker);
      worker.once("exit", () => this.#workers.delete(worker));
    });
  }

  /** Writes the log and exits with this code; what does not end within `PATIENCE` is cut off by SIGKILL. */
  async exit(code: number): Promise<never> {
    const end = performance.now() + PATIENCE;
    while (this.#workers.size > 0 || this.#log.isWaiting) {
      if (performance.now() > end) process.kill(process.pid, "SIGKILL");
      await delay(LOOK_INTERVAL);
    }
    process.exit(code);
  }

  /** At once, as if the signal had never been handled: a shell sees exit code 128 plus its number. */
  bySignal(signal: NodeJS.Signals): void {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  }
}
