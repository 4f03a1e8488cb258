// Logs trouble that may come with every message once a minute, with how often it came.

import type { Logger } from "./logger.ts";

/** In ms. */
const INTERVAL = 60_000;

export class RepeatedWarning {
  readonly #logger: Logger;
  readonly #message: string;
  /** Ms since the epoch. */
  readonly #now: () => number;
  #loggedAt = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(logger: Logger, message: string, now: () => number) {
    this.#logger = logger;
    this.#message = message;
    this.#now = now;
  }

  /** Logs it with these fields and `count`, the times since the last line; within a minute of that, only counts. `message`: of this one, in another's place. */
  warn(fields: Record<string, unknown>, message = this.#message): void {
    this.#count += 1;
    const now = this.#now();
    if (now - this.#loggedAt < INTERVAL) return;
    this.#logger.warn({ ...fields, count: this.#count }, message);
    this.#loggedAt = now;
    this.#count = 0;
  }
}
