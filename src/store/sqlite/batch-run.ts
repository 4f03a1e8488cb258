// One batch on its way through the worker: which request stands where, and what came of each.

import type { Problem } from "../../sqlite/problem.ts";
import type { BatchMessage, ReadRequest, Reply, Result, WriteRequest } from "./protocol.ts";

export type Request = BatchMessage["requests"][number];

const WRITES = new Set<string>([
  "deleteMessages",
  "saveSubscription",
  "deleteSubscription",
  "touchSubscriptions",
  "purge",
  "expire",
] satisfies WriteRequest["kind"][]);

export function isWrite(request: Request): request is WriteRequest | null {
  return request === null || WRITES.has(request.kind);
}

export class BatchRun {
  readonly batch: BatchMessage;
  /** How many requests are writes; they come first. */
  readonly writes: number;
  /** Nothing but health checks, which do not wait. */
  readonly onlyHealthChecks: boolean;
  /** Messages saved, and messages removed to make room. */
  saved = 0;
  dropped = 0;
  readonly #failures = new Map<number, Problem>();
  readonly #results = new Map<number, Result>();
  /** Requests before this one have what came of them for good. */
  #done = 0;

  constructor(batch: BatchMessage) {
    this.batch = batch;
    const firstRead = batch.requests.findIndex((request) => !isWrite(request));
    this.writes = firstRead === -1 ? batch.requests.length : firstRead;
    this.onlyHealthChecks = batch.requests.every((request) => request?.kind === "checkHealth");
  }

  get reads(): readonly ReadRequest[] {
    return this.batch.requests.slice(this.writes) as ReadRequest[];
  }

  /** Forgets what came of the writes, because their transaction is rolled back. */
  startOver(): void {
    this.saved = 0;
    this.dropped = 0;
    this.#failures.clear();
    this.#results.clear();
  }

  succeed(at: number, result: Result | undefined): void {
    if (result !== undefined) this.#results.set(at, result);
  }

  fail(at: number, problem: Problem): void {
    this.#failures.set(at, problem);
  }

  /** What came of the requests before this index is certain now. */
  doneUpTo(at: number): void {
    this.#done = at;
  }

  /** Fails what is not done. */
  failRest(problem: Problem): void {
    if (this.#done < this.writes) this.startOver();
    for (let at = this.#done; at < this.batch.requests.length; at++) this.fail(at, problem);
  }

  reply(health: Problem | undefined): Reply {
    return {
      outcome: "done",
      failures: [...this.#failures],
      results: [...this.#results],
      dropped: this.dropped,
      ...(health === undefined ? undefined : { health }),
    };
  }
}
