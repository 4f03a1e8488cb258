// A worker thread that tends one SQLite file, as its owner sees it: started, given one batch at a time, started again
// when it dies.

import { Worker } from "node:worker_threads";
import type { Logger } from "../mqtt/logger.ts";

/** Wait before a dead worker is started again, doubled each time up to the last, in ms. */
const FIRST_RESTART_DELAY = 50;
const LAST_RESTART_DELAY = 1_000;

/** Asks the thread to close its file and to end. */
export const STOP = { kind: "stop" } as const;

export interface WorkerSettings {
  /** The module that runs in the thread. */
  readonly file: URL;
  /** Of the thread, which finds it as its last argument. */
  readonly name: string;
  /** What the file is, for the log: "the SQLite store". */
  readonly owner: string;
  /** Plain data, because it is cloned into the thread. */
  readonly workerData: unknown;
  readonly logger: Logger;
}

export interface WorkerEvents<Reply> {
  /** The answer to the batch that was sent last. */
  readonly reply: (reply: Reply) => void;
  /** The thread died; what it had in hand may or may not be done. */
  readonly died: (cause: string) => void;
  /** A new thread is ready for batches. */
  readonly ready: () => void;
}

export class WorkerLink<Batch extends object, Reply> {
  readonly #settings: WorkerSettings;
  readonly #events: WorkerEvents<Reply>;
  #worker: Worker | undefined;
  #restartDelay = FIRST_RESTART_DELAY;
  #restartTimer: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(settings: WorkerSettings, events: WorkerEvents<Reply>) {
    this.#settings = settings;
    this.#events = events;
  }

  start(): void {
    const { file, name, workerData } = this.#settings;
    const worker = new Worker(file, {
      name,
      argv: [name],
      workerData,
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

  /** The buffers in `transfer` change their owner. */
  send(batch: Batch, transfer: ArrayBuffer[] = []): void {
    this.#worker?.postMessage(batch, transfer);
  }

  /** Lets the thread close the database. One that hangs for longer than `timeout` ms is left to its fate. */
  async stop(timeout: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restartTimer);
    const worker = this.#worker;
    if (worker === undefined) return;
    worker.postMessage(STOP);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        const { logger, owner } = this.#settings;
        logger.warn({ timeout }, `The thread of ${owner} does not end; it is not waited for.`);
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
    const { logger, owner } = this.#settings;
    logger.error({ cause, restartIn: this.#restartDelay }, `The thread of ${owner} died; it is started again.`);
    this.#events.died(cause);
    this.#restartTimer = setTimeout(() => this.start(), this.#restartDelay);
    this.#restartDelay = Math.min(LAST_RESTART_DELAY, this.#restartDelay * 2);
  }
}
