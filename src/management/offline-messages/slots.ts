// How many long requests of one kind may be under way: each takes memory, and its turn at the store.

import { ApiError } from "../api-error.ts";

export class Slots {
  readonly #what: string;
  readonly #limit: number;
  #taken = 0;

  /** `what`: in the plural, for the answer to one too many. */
  constructor(what: string, limit: number) {
    this.#what = what;
    this.#limit = limit;
  }

  /** Returns how to give it back, which may be called more than once. Throws `ApiError` 503 when all are taken. */
  take(): () => void {
    if (this.#taken >= this.#limit) {
      const message = `${this.#limit} ${this.#what} are under way already: try again later.`;
      throw new ApiError(503, "SERVICE_UNAVAILABLE", message);
    }
    this.#taken++;
    let isTaken = true;
    return () => {
      if (isTaken) this.#taken--;
      isTaken = false;
    };
  }
}
