// Groups concurrent calls to a store: what is called while a flush is under way goes out together in the next one.
//
// A call is in one of three places. *Waiting*: added, not handed out; it can still be cancelled for certain.
// *Under way*: handed to `flush` and not settled. *Settled*: its promise is resolved or rejected.
//
//   waiting  ── no flush is under way ──▶  under way  ── resolve(), reject() ──▶  settled
//      ▲                                       │
//      └────── flushed(), still unsettled ─────┘        (its place in front is kept)
//
// From both of the first places the deadline leads to settled, by rejection. Writes go out in the order of the calls.
// A read goes out after every write that was called before it, and behind the writes of its own batch, so that it sees
// them; so reads wait for no more than the writes before them, and each batch has room for both kinds.

import { Fifo } from "../mqtt/fifo.ts";

export interface CallCost {
  /** Changes the store: keeps its order among the writes. */
  readonly write: boolean;
  /** How many of the `batchSize` places of a batch it takes. */
  readonly weight: number;
  /** Bytes of the message that it holds in memory. */
  readonly bytes: number;
}

export interface Call<Request> extends CallCost {
  readonly request: Request;
  /** In ms of `monotonicTime`. */
  readonly deadline: number;
  readonly sequence: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  settled: boolean;
}

export interface CallQueueOptions<Request> {
  /** How long a call may take from being added to being settled, in ms. */
  readonly timeout: number;
  /** At most this many unsettled calls. */
  readonly maxCalls: number;
  /** At most this many bytes in unsettled calls; a first call is taken whatever its size. */
  readonly maxBytes: number;
  /** Weight of the writes in one batch. */
  readonly batchSize: number;
  /** Bytes of the writes in one batch; a first write is taken whatever its size. */
  readonly batchBytes: number;
  /** Reads in one batch. */
  readonly batchReads: number;
  /** Starts work on a batch, writes first. The owner settles the calls and then calls `flushed`. */
  readonly flush: (batch: readonly Call<Request>[]) => void;
  /** The error of a call whose deadline has passed; `underWay`: it was handed out, so its outcome is open. */
  readonly timeoutError: (underWay: boolean) => Error;
  /** The error of a call that finds the queue at its limit. */
  readonly fullError: () => Error;
}

/** What every store sets aside for calls. */
export const CALL_LIMITS = {
  maxCalls: 100_000,
  maxBytes: 64 * 1024 * 1024,
  batchBytes: 8 * 1024 * 1024,
  batchReads: 16,
} as const satisfies Partial<CallQueueOptions<unknown>>;

/** A clock in ms that only goes forward and is the same in every thread of the process. */
export function monotonicTime(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class CallQueue<Request> {
  readonly #options: CallQueueOptions<Request>;
  readonly #writes = new Fifo<Call<Request>>();
  readonly #reads = new Fifo<Call<Request>>();
  #underWay: readonly Call<Request>[] | undefined;
  #sequence = 0;
  #calls = 0;
  #bytes = 0;
  #flushPlanned = false;
  #isHandingOut = false;
  #paused = false;
  #timer: NodeJS.Timeout | undefined;
  #idleWaiters: (() => void)[] = [];

  constructor(options: CallQueueOptions<Request>) {
    this.#options = options;
  }

  /** Calls that are not settled. */
  get unsettled(): number {
    return this.#calls;
  }

  /** Settles as the owner settles the call; rejects with `fullError` or `timeoutError`. */
  add(request: Request, cost: CallCost): Promise<unknown> {
    const { maxCalls, maxBytes, timeout } = this.#options;
    const tooManyBytes = cost.bytes > 0 && this.#bytes > 0 && this.#bytes + cost.bytes > maxBytes;
    if (this.#calls >= maxCalls || tooManyBytes) return Promise.reject(this.#options.fullError());
    return new Promise((resolve, reject) => {
      const call: Call<Request> = {
        request,
        write: cost.write,
        weight: cost.weight,
        bytes: cost.bytes,
        deadline: monotonicTime() + timeout,
        sequence: this.#sequence++,
        resolve,
        reject,
        settled: false,
      };
      this.#calls++;
      this.#bytes += cost.bytes;
      (cost.write ? this.#writes : this.#reads).push(call);
      this.#armTimer(timeout);
      this.#planFlush();
    });
  }

  resolve(call: Call<Request>, value?: unknown): void {
    if (this.#settle(call)) call.resolve(value);
  }

  reject(call: Call<Request>, error: Error): void {
    if (this.#settle(call)) call.reject(error);
  }

  /**
   * The batch is over. Its calls named in `again` go back to the front, to be handed out again; then the next batch
   * starts. The others may be settled after this, so that the database is not kept waiting.
   */
  flushed(again: readonly Call<Request>[] = []): void {
    this.#underWay = undefined;
    const unsettled = again.filter((call) => !call.settled);
    this.#writes.putBack(unsettled.filter((call) => call.write));
    this.#reads.putBack(unsettled.filter((call) => !call.write));
    this.#flush();
  }

  /** Hands out nothing until `resume`. Deadlines go on. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#planFlush();
  }

  /** Settles when every call is. */
  idle(): Promise<void> {
    if (this.#calls === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Lets all that was called in this turn join the batch, and nothing later. */
  #planFlush(): void {
    if (this.#flushPlanned || this.#paused || this.#underWay !== undefined) return;
    this.#flushPlanned = true;
    queueMicrotask(() => {
      this.#flushPlanned = false;
      this.#flush();
    });
  }

  /** A loop, since the owner may call `flushed` at once: called within each other, batches would fill the stack. */
  #flush(): void {
    if (this.#isHandingOut) return;
    this.#isHandingOut = true;
    try {
      while (!this.#paused && this.#underWay === undefined) {
        const batch = this.#takeBatch();
        if (batch.length === 0) return;
        this.#underWay = batch;
        this.#options.flush(batch);
      }
    } finally {
      this.#isHandingOut = false;
    }
  }

  #takeBatch(): Call<Request>[] {
    const { batchSize, batchBytes, batchReads } = this.#options;
    const batch: Call<Request>[] = [];
    let weight = 0;
    let bytes = 0;
    let write = this.#writes.peek();
    while (write !== undefined) {
      if (batch.length > 0 && (weight + write.weight > batchSize || bytes + write.bytes > batchBytes)) break;
      weight += write.weight;
      bytes += write.bytes;
      batch.push(write);
      this.#writes.shift();
      write = this.#writes.peek();
    }
    const nextWrite = write?.sequence ?? Number.POSITIVE_INFINITY;
    let reads = 0;
    let read = this.#reads.peek();
    while (read !== undefined && reads < batchReads && read.sequence < nextWrite) {
      reads++;
      batch.push(read);
      this.#reads.shift();
      read = this.#reads.peek();
    }
    return batch;
  }

  #settle(call: Call<Request>): boolean {
    if (call.settled) return false;
    call.settled = true;
    this.#calls--;
    this.#bytes -= call.bytes;
    if (this.#calls === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      for (const resolve of this.#idleWaiters.splice(0)) resolve();
    }
    return true;
  }

  #armTimer(delay: number): void {
    // Deadlines rise in the order of the calls, so one timer for the oldest is enough.
    this.#timer ??= setTimeout(() => this.#expire(), Math.max(1, Math.ceil(delay)));
  }

  #expire(): void {
    this.#timer = undefined;
    const now = monotonicTime();
    let next = Number.POSITIVE_INFINITY;
    for (const queue of [this.#writes, this.#reads]) {
      let call = queue.peek();
      while (call !== undefined && call.deadline <= now) {
        queue.shift();
        this.reject(call, this.#options.timeoutError(false));
        call = queue.peek();
      }
      if (call !== undefined) next = Math.min(next, call.deadline);
    }
    for (const call of this.#underWay ?? []) {
      if (call.settled) continue;
      if (call.deadline <= now) this.reject(call, this.#options.timeoutError(true));
      else next = Math.min(next, call.deadline);
    }
    if (next !== Number.POSITIVE_INFINITY) this.#armTimer(next - now);
  }
}
