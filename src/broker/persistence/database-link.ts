// broker.db as the broker sees it: one request at a time to the worker thread, repeated until a write has succeeded.

import { extname } from "node:path";
import type { Logger } from "../../mqtt/logger.ts";
import type { Problem } from "../../sqlite/problem.ts";
import { WorkerLink } from "../../sqlite/worker-link.ts";
import { BrokerDatabaseError } from "../errors.ts";
import type { ReadRequest, Reply, Request, Rows, WriteRequest } from "./protocol.ts";

/** How long after a failure a write is tried again, in ms. */
const RETRY_DELAY = 500;

interface Pending {
  request: Request;
  /** Of a write: all that is to be in the file, instead. */
  readonly whole: (() => WriteRequest) | undefined;
  resolve(reply: Rows | undefined): void;
  reject(error: BrokerDatabaseError): void;
}

export class DatabaseLink {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #worker: WorkerLink<Request, Reply>;
  /** The first is in the worker's hands. Those behind it are few: the journal writes one batch at a time. */
  readonly #requests: Pending[] = [];
  #retryTimer: NodeJS.Timeout | undefined;
  #problem: Problem | undefined;

  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
    // Beside this file, with the same ending: .ts as it is written, .js as it is packed.
    const file = new URL(`./worker${extname(import.meta.filename)}`, import.meta.url);
    this.#worker = new WorkerLink(
      { file, name: "broker-database", owner: "the broker's database", workerData: { path }, logger },
      {
        reply: (reply) => this.#received(reply),
        died: (cause) => this.#failed({ kind: "unavailable", message: `The thread of ${this.#path} died: ${cause}` }),
        ready: () => this.#send(),
      },
    );
  }

  start(): void {
    this.#worker.start();
  }

  /** What keeps the database from being written at the moment. */
  get problem(): Problem | undefined {
    return this.#problem;
  }

  /** One page of a table. Rejects with `BrokerDatabaseError`. */
  async read(request: ReadRequest): Promise<Rows> {
    return (await this.#run(request)) as Rows;
  }

  /** Settles when it is durable; tries until then, and never rejects. `whole` is asked when there is another file. */
  async write(request: WriteRequest, whole: () => WriteRequest): Promise<void> {
    await this.#run(request, whole);
  }

  /** Gives up on a write that does not succeed, and closes the file; waits up to `timeout` ms for that. */
  async stop(timeout: number): Promise<void> {
    clearTimeout(this.#retryTimer);
    await this.#worker.stop(timeout);
  }

  #run(request: Request, whole?: () => WriteRequest): Promise<Rows | undefined> {
    return new Promise((resolve, reject) => {
      this.#requests.push({ request, whole, resolve, reject });
      if (this.#requests.length === 1) this.#send();
    });
  }

  #send(): void {
    // A thread that is started again gets the request at once: sent twice, its second answer would be taken for that of
    // the next.
    clearTimeout(this.#retryTimer);
    const first = this.#requests[0];
    if (first !== undefined) this.#worker.send(first.request);
  }

  #received(reply: Reply): void {
    if (reply.kind === "failed") {
      this.#failed(reply.problem);
      this.#retryTimer = setTimeout(() => this.#send(), RETRY_DELAY);
      return;
    }
    if (reply.kind === "replaced") {
      const first = this.#requests[0];
      if (first?.whole !== undefined) first.request = first.whole();
      this.#send();
      return;
    }
    if (this.#problem !== undefined) {
      this.#problem = undefined;
      this.#logger.info({}, "what outlives the broker is saved again");
    }
    const done = this.#requests.shift();
    this.#send();
    done?.resolve(reply.kind === "rows" ? reply : undefined);
  }

  /** A read fails; a write waits. */
  #failed(problem: Problem): void {
    const first = this.#requests[0];
    if (first?.request.kind === "read") {
      this.#requests.shift();
      first.reject(new BrokerDatabaseError(problem.message));
      return;
    }
    if (this.#problem?.message !== problem.message) {
      const text = "sessions, wills and retained messages are not saved: who waits for that is disconnected";
      this.#logger.error({ err: new BrokerDatabaseError(problem.message) }, text);
    }
    this.#problem = problem;
  }
}
