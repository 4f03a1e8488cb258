// Lets long work of administrators go on a part at a time, one part in a turn of the event loop, whoever it is of.

import { Fifo } from "../mqtt/fifo.ts";
import { BrokerBusyError } from "./errors.ts";

/** Works that may be under way. */
const MAX_WORKS = 100;

export class Turns {
  readonly #waiting = new Fifo<() => void>();
  #works = 0;
  readonly #run = (): void => {
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) setImmediate(this.#run);
  };

  /** Runs work that awaits `next` between its parts. Rejects with `BrokerBusyError` where too much is under way. */
  async work<T>(work: (next: () => Promise<void>) => Promise<T>): Promise<T> {
    if (this.#works >= MAX_WORKS) {
      throw new BrokerBusyError(`${MAX_WORKS} requests of administrators are under way already: try again later.`);
    }
    this.#works += 1;
    try {
      await this.next();
      return await work(() => this.next());
    } finally {
      this.#works -= 1;
    }
  }

  /** Settles in a turn of the event loop in which no other part is run. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) setImmediate(this.#run);
    });
  }
}
