// The worker thread as the store sees it: started, given one batch at a time, started again when it dies.

import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { Logger } from "../../mqtt/logger.ts";
import type { WorkerOptions } from "./options.ts";
import type { BatchMessage, Reply, ToWorker } from "./protocol.ts";

/** Wait before a dead worker is started again, doubled each time up to the last, in ms. */
const FIRST_RESTART_DELAY = 50;
const LAST_RESTART_DELAY = 1_000;

export interface WorkerEvents {
  /** The answer to the batch that was sent last. */
  readonly reply: (reply: Reply) => void;
  /** The thread died; what it had in hand may or may not be done. */
  readonly died: (cause: string) => void;
  /** A new thread is ready for batches. */
  readonly ready: () => void;
}

export class WorkerLink {
  readonly #options: WorkerOptions;
  readonly #logger: Logger;
  readonly #events: WorkerEvents;
  #worker: Worker | undefined;
  #restartDelay = FIRST_RESTART_DELAY;
  #restartTimer: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(options: WorkerOptions, logger: Logger, events: WorkerEvents) {
    this.#options = options;
    this.#logger = logger;
    this.#events = events;
  }

  start(): void {
    // Beside this file, with the same ending: .ts as it is written, .js as it is packed.
    const file = new URL(`./worker${extname(import.meta.filename)}`, import.meta.url);
    const worker = new Worker(file, {
      name: "sqlite-store",
      workerData: this.#options,
      // node:sqlite says with each start that it is experimental; that is known.
      execArgv: ["--disable-warning=ExperimentalWarning"],
    });
    this.#worker = worker;
    let cause = "it ended";
    worker.on("error", (error) => {
      cause = error instanceof Error ? (error.stack ?? error.message) : String(error);
    });
    worker.on("message", (reply: Reply) => {
      this.#restartDelay = FIRST_RESTART_DELAY;
      this.#events.reply(reply);
    });
    worker.once("exit", () => this.#exited(worker, cause));
    this.#events.ready();
  }

  send(batch: BatchMessage, transfer: ArrayBuffer[]): void {
    this.#worker?.postMessage(batch, transfer);
  }

  /** Lets the thread close the database. One that hangs for longer than `timeout` ms is left to its fate. */
  async stop(timeout: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restartTimer);
    const worker = this.#worker;
    if (worker === undefined) return;
    worker.postMessage({ kind: "stop" } satisfies ToWorker);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#logger.warn({ timeout }, "The thread of the SQLite store does not end; it is not waited for.");
        worker.unref();
        void worker.terminate();
        resolve();
      }, timeout);
      worker.once("exit", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #exited(worker: Worker, cause: string): void {
    if (this.#worker === worker) this.#worker = undefined;
    if (this.#stopping) return;
    this.#logger.error(
      { cause, restartIn: this.#restartDelay },
      "The thread of the SQLite store died; it is started again.",
    );
    this.#events.died(cause);
    this.#restartTimer = setTimeout(() => this.start(), this.#restartDelay);
    this.#restartDelay = Math.min(LAST_RESTART_DELAY, this.#restartDelay * 2);
  }
}
