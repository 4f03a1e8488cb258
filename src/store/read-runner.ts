// Carries out reads beside each other, a bounded number of them, and begins one again that a broken connection cut off.

import { Fifo } from "../mqtt/fifo.ts";
import { type Call, monotonicTime } from "./call-queue.ts";
import type { StoreError } from "./errors.ts";

/** Reads at once. */
const MAX_READS = 16;

/** A call, and what it does: one or more round trips. */
export interface Read {
  readonly call: Call<unknown>;
  readonly run: () => Promise<unknown>;
}

export interface ReadRunnerEvents {
  readonly resolve: (call: Call<unknown>, value: unknown) => void;
  readonly reject: (call: Call<unknown>, error: StoreError) => void;
  /** The error for the caller; undefined: begin again when `resume` is called. */
  readonly failed: (error: Error) => StoreError | undefined;
  readonly timeoutError: () => StoreError;
}

export class ReadRunner {
  readonly #events: ReadRunnerEvents;
  readonly #waiting = new Fifo<readonly [Read, NodeJS.Timeout]>();
  #running = 0;
  #cutOff: (() => void)[] = [];

  constructor(events: ReadRunnerEvents) {
    this.#events = events;
  }

  /** Settles the call at its deadline at the latest. */
  start(read: Read): void {
    const { call } = read;
    const left = Math.max(1, call.deadline - monotonicTime());
    const timer = setTimeout(() => this.#events.reject(call, this.#events.timeoutError()), left);
    if (this.#running < MAX_READS) void this.#carryOut(read, timer);
    else this.#waiting.push([read, timer]);
  }

  /** Redis works again. */
  resume(): void {
    for (const begin of this.#cutOff.splice(0)) begin();
  }

  async #carryOut(read: Read, timer: NodeJS.Timeout): Promise<void> {
    this.#running++;
    while (!read.call.settled) await this.#try(read);
    clearTimeout(timer);
    this.#running--;
    const next = this.#waiting.shift();
    if (next !== undefined) void this.#carryOut(...next);
  }

  async #try({ call, run }: Read): Promise<void> {
    try {
      this.#events.resolve(call, await run());
    } catch (cause) {
      if (call.settled) return;
      const error = this.#events.failed(cause as Error);
      if (error !== undefined) this.#events.reject(call, error);
      else await new Promise<void>((resolve) => this.#cutOff.push(resolve));
    }
  }
}
