// Messages whose answer "stored" went out on a connection, and of which the node has not told yet that it has handled it.

import { Fifo } from "../mqtt/fifo.ts";
import type { MessageKey } from "../plugin/hooks.ts";
import { LinkProtocolError } from "./link-error.ts";

/** On one connection; the oldest are forgotten. */
const LIMIT = 65_536;

interface Stored {
  readonly answer: number;
  readonly key: MessageKey;
  /** Who counts as having been pushed it. */
  readonly clientIds: readonly string[];
}

export class Unconfirmed {
  readonly #limit: number;
  readonly #stored = new Fifo<Stored>();
  #answers = 0;

  constructor(limit = LIMIT) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#stored.length;
  }

  /** An answer goes out; `key`: it says that this message is stored, which these clients are pushed. */
  answered(key?: MessageKey, clientIds: readonly string[] = []): void {
    this.#answers += 1;
    if (key === undefined) return;
    this.#stored.push({ answer: this.#answers, key, clientIds });
    if (this.#stored.length > this.#limit) this.#stored.shift();
  }

  /** The node has handled so many answers on the connection. Throws `LinkProtocolError` when there were not so many. */
  confirm(answers: number): void {
    if (answers > this.#answers) throw new LinkProtocolError(`${answers} answers are handled of ${this.#answers}`);
    for (let first = this.#stored.peek(); first !== undefined && first.answer <= answers; first = this.#stored.peek()) {
      this.#stored.shift();
    }
  }

  /** Those that may not have arrived. */
  get all(): readonly Omit<Stored, "answer">[] {
    return [...this.#stored];
  }
}
