// The calls of a store whose database is a server: grouped, sent, and tried again until their time is over.
//
// Writes go out one flush after the other. A read starts when the writes called before it are done, on a connection of its
// own, so that a large page holds up no publisher. When the connection breaks or the server cannot answer for a moment, what
// was under way is kept and nothing more is sent; a probe looks every quarter of a second whether it works again, and then
// all goes out once more. So a write must be such that it can be repeated.

import { CALL_LIMITS, type Call, type CallCost, CallQueue, monotonicTime } from "./call-queue.ts";
import { type StoreError, StoreUnavailableError } from "./errors.ts";
import { ReadRunner } from "./read-runner.ts";
import { RemoteHealth } from "./remote-health.ts";
import type { StoreEvents, StoreHealth } from "./store.ts";
import { withinTime } from "./within-time.ts";

/** What became of a write: done; nothing yet, to be handed out again; or the error. */
export type Outcome = "done" | "again" | Error;

export interface RemoteProblem {
  /** `retry`: may be over in a moment. `lasting`: concerns others too, until somebody does something. `own`: this call alone. */
  readonly kind: "retry" | "lasting" | "own";
  readonly error: StoreError;
}

/** A read asks whether anybody waits for it still before it begins another round trip. */
export type ReadWork = (call: { readonly settled: boolean }) => Promise<unknown>;

/** The server, as its calls see it. */
export interface RemoteServer<Write> {
  /** For errors: `MySQL at 127.0.0.1:3306`. */
  readonly where: string;
  /** Begins to connect; settles when the first attempt has succeeded or failed. Never rejects. */
  open(): Promise<void>;
  close(): void;
  /** Whether it works: the error, if there is one. Never rejects. */
  probe(): Promise<Error | undefined>;
  /** After each probe that found it working, before calls are sent. */
  works(): void;
  problemOf(error: Error): RemoteProblem;
  /** Carries out writes; what became of each, by its place. Never rejects. */
  flush(writes: readonly Write[]): Promise<Outcome[]>;
  /** A flush takes longer than its calls may. */
  late?(): void;
  /** More than that it did not answer in time, if more is known. */
  reasonForSilence?(): StoreError | undefined;
}

export interface RemoteCallsOptions {
  /** Every call settles within this time, in ms. */
  readonly timeout: number;
  readonly batchSize: number;
}

type Request<Write> =
  | { readonly kind: "write"; readonly write: Write }
  | { readonly kind: "read"; readonly work: ReadWork };

const READ: CallCost = { write: false, weight: 1, bytes: 0 };

export class RemoteCalls<Write> {
  readonly #server: RemoteServer<Write>;
  readonly #timeout: number;
  readonly #queue: CallQueue<Request<Write>>;
  readonly #running: ReadRunner;
  readonly #health: RemoteHealth;
  #events: StoreEvents = {};
  #stopped: string | undefined = "The store is not started.";

  constructor(server: RemoteServer<Write>, { timeout, batchSize }: RemoteCallsOptions) {
    this.#server = server;
    this.#timeout = timeout;
    this.#health = new RemoteHealth({
      probe: async () => {
        const error = await server.probe();
        if (error === undefined) return undefined;
        const problem = server.problemOf(error);
        return { error: problem.error, lasts: problem.kind === "lasting" };
      },
      changed: (health) => this.#events.healthChanged?.(health),
      causeFound: (error) => this.#events.causeFound?.(error),
      works: () => {
        server.works();
        this.#running.resume();
        this.#queue.resume();
      },
    });
    this.#running = new ReadRunner({
      resolve: (call, value) => this.#queue.resolve(call as Call<Request<Write>>, value),
      reject: (call, error) => this.#queue.reject(call as Call<Request<Write>>, error),
      failed: (error) => this.#readFailed(error),
      timeoutError: () => {
        // Where nobody writes, nothing else would find out why.
        this.connected();
        return this.#timeoutError(false);
      },
    });
    this.#queue = new CallQueue<Request<Write>>({
      ...CALL_LIMITS,
      timeout,
      batchSize,
      flush: (batch) => void this.#flush(batch),
      timeoutError: (underWay) => this.#timeoutError(underWay),
      fullError: () =>
        new StoreUnavailableError(
          `More calls wait for ${server.where} than memory is set aside for: publish more slowly.`,
        ),
    });
  }

  /** A connection was made. */
  readonly connected = (): void => void this.#health.probe();

  /** A connection has ended. One that is made again at once is not told of. */
  readonly disconnected = (): void => this.#health.lookSoon();

  async start(events: StoreEvents): Promise<void> {
    this.#events = events;
    this.#stopped = undefined;
    this.#queue.pause();
    const deadline = monotonicTime() + this.#timeout;
    await withinTime(this.#server.open(), this.#timeout);
    const answered = await withinTime(this.#health.probe(), deadline - monotonicTime());
    if (!answered) this.#health.note(this.#timeoutError(false));
  }

  async stop(): Promise<void> {
    if (this.#stopped !== undefined) return;
    this.#stopped = "The store is stopped.";
    await this.#queue.idle();
    this.#health.stop();
    this.#server.close();
    this.#events = {};
  }

  health(): StoreHealth {
    if (this.#stopped === undefined) return this.#health.health;
    return { status: "error", error: new StoreUnavailableError(this.#stopped) };
  }

  async checkHealth(): Promise<StoreHealth> {
    if (this.#stopped === undefined) {
      const answered = await withinTime(this.#health.probe(), this.#timeout);
      if (!answered) this.#health.note(this.#timeoutError(false));
    }
    return this.health();
  }

  /** Rejects when the store is stopped. */
  async whileStarted<T>(value: T): Promise<T> {
    if (this.#stopped !== undefined) throw new StoreUnavailableError(this.#stopped);
    return value;
  }

  /** `weight`: its places in a batch; `bytes`: what it keeps in memory. */
  write(write: Write, weight = 1, bytes = 0): Promise<unknown> {
    return this.#call({ kind: "write", write }, { write: true, weight, bytes });
  }

  read<T>(work: (call: { readonly settled: boolean }) => Promise<T>): Promise<T> {
    return this.#call({ kind: "read", work }, READ) as Promise<T>;
  }

  #call(request: Request<Write>, cost: CallCost): Promise<unknown> {
    if (this.#stopped !== undefined) return Promise.reject(new StoreUnavailableError(this.#stopped));
    return this.#queue.add(request, cost);
  }

  async #flush(batch: readonly Call<Request<Write>>[]): Promise<void> {
    const writes = batch.filter(({ write }) => write);
    const reads = batch.filter(({ write }) => !write);
    const again = writes.length === 0 ? [] : await this.#flushWrites(writes);
    // A read sees the writes called before it, so it waits with those that are handed out again.
    this.#queue.flushed([...again, ...(again.length === 0 ? [] : reads)]);
    if (again.length > 0) return;
    for (const call of reads) {
      const { work } = call.request as { readonly work: ReadWork };
      this.#running.start({ call, run: () => work(call) });
    }
  }

  /** Settles what can be settled; returns what has to be tried again. */
  async #flushWrites(calls: readonly Call<Request<Write>>[]): Promise<Call<Request<Write>>[]> {
    const outcomes = await this.#server.flush(calls.map(({ request }) => (request as { readonly write: Write }).write));
    const again: Call<Request<Write>>[] = [];
    let worked = false;
    let broken: StoreError | undefined;
    let lasting: StoreError | undefined;
    for (let at = 0; at < calls.length; at++) {
      const call = calls[at] as Call<Request<Write>>;
      const outcome = outcomes[at] ?? "again";
      if (outcome === "done") {
        worked = true;
        this.#queue.resolve(call);
      } else if (outcome === "again") again.push(call);
      else {
        const problem = this.#server.problemOf(outcome);
        if (problem.kind === "retry") {
          broken = problem.error;
          again.push(call);
        } else {
          if (problem.kind === "lasting") lasting = problem.error;
          this.#queue.reject(call, problem.error);
        }
      }
    }
    if (broken !== undefined) this.#suspend(broken);
    else if (lasting !== undefined) this.#health.note(lasting, true);
    else if (worked) this.#health.worked();
    return again;
  }

  /** What the caller of a read is told; undefined: it is tried again when the server works. */
  #readFailed(error: Error): StoreError | undefined {
    const problem = this.#server.problemOf(error);
    if (problem.kind === "retry") {
      this.#suspend(problem.error);
      return undefined;
    }
    if (problem.kind === "lasting") this.#health.note(problem.error, true);
    return problem.error;
  }

  /** Sends nothing more until a probe finds that the server works. */
  #suspend(error: StoreError): void {
    this.#queue.pause();
    this.#health.note(error);
  }

  #timeoutError(underWay: boolean): StoreError {
    const error =
      this.#health.health.error ??
      this.#server.reasonForSilence?.() ??
      new StoreUnavailableError(
        `${this.#server.where} did not answer within ${this.#timeout} ms, and may still do what it was asked: see whether it is overloaded or hangs.`,
      );
    if (!underWay) return error;
    this.#server.late?.();
    // What was called while it did not work says nothing of now.
    if (monotonicTime() - this.#timeout >= this.#health.worksSince) this.#health.note(error);
    return error;
  }
}
