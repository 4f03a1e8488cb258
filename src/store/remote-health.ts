// Knows whether a database server works, from what calls tell and from probes while it does not.

import { monotonicTime } from "./call-queue.ts";
import type { StoreError } from "./errors.ts";
import type { StoreHealth } from "./store.ts";

/** While the server does not work it is looked at this often, in ms. */
const PROBE_INTERVAL = 250;

export interface RemoteHealthEvents {
  /** Asks the server; the error, if there is one, and whether it lasts until somebody does something. Never rejects. */
  probe(): Promise<{ readonly error: StoreError; readonly lasts: boolean } | undefined>;
  /** Once when it breaks and once when it works again. */
  changed(health: StoreHealth): void;
  /** A server that could not be reached is there, and this keeps it from working. At most once for each time that it breaks. */
  causeFound(error: StoreError): void;
  /** After each probe that found it working. */
  works(): void;
}

export class RemoteHealth {
  readonly #events: RemoteHealthEvents;
  #health: StoreHealth = { status: "ok" };
  #probing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** What was told of this outage may be over in a moment. */
  #maySayMore = false;
  /** How many errors were noted. */
  #errors = 0;
  #worksSince = Number.NEGATIVE_INFINITY;

  constructor(events: RemoteHealthEvents) {
    this.#events = events;
  }

  get health(): StoreHealth {
    return this.#health;
  }

  /** When it was found to work after it had not, in ms of the monotonic clock. */
  get worksSince(): number {
    return this.#worksSince;
  }

  /** What a call told; undefined: it worked. `lasts`: until somebody does something. */
  note(error: StoreError | undefined, lasts = false): void {
    const before = this.#health.status;
    this.#health = error === undefined ? { status: "ok" } : { status: "error", error };
    if (before !== this.#health.status) {
      if (error === undefined) this.#worksSince = monotonicTime();
      this.#maySayMore = error !== undefined && !lasts;
      if (!this.#stopped) this.#events.changed(this.#health);
    } else if (error !== undefined && lasts && this.#maySayMore) {
      this.#maySayMore = false;
      if (!this.#stopped) this.#events.causeFound(error);
    }
    if (error === undefined) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else {
      this.#errors++;
      this.lookSoon();
    }
  }

  /** Looks in a moment, when a connection that broke may have been made again: then nothing is told. */
  lookSoon(): void {
    if (!this.#stopped) this.#timer ??= setTimeout(() => void this.#look(), PROBE_INTERVAL);
  }

  /** A call worked: after an error that says little, since what did not work may be something else. */
  worked(): void {
    if (this.#health.status === "error") void this.probe();
  }

  /** Asks the server now, unless that is under way, or all is over. Never rejects. */
  async probe(): Promise<void> {
    if (this.#stopped) return;
    this.#probing ??= this.#probe().finally(() => {
      this.#probing = undefined;
    });
    await this.#probing;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #probe(): Promise<void> {
    const errors = this.#errors;
    const problem = await this.#events.probe();
    if (this.#stopped) return;
    // It may have asked before the server broke: the next one tells.
    if (problem === undefined && this.#errors !== errors) return;
    this.note(problem?.error, problem?.lasts);
    if (problem === undefined) this.#events.works();
  }

  async #look(): Promise<void> {
    await this.probe();
    this.#timer = undefined;
    if (this.#health.error !== undefined) this.lookSoon();
  }
}
