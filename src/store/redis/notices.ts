// What is worth one line in the log, however often it is met.

import type { Logger } from "../../mqtt/logger.ts";

export class Notices {
  readonly #logger: Logger;
  readonly #servers: string;
  readonly #said = new Set<string>();

  /** `servers` as the user named them. */
  constructor(logger: Logger, servers: string) {
    this.#logger = logger;
    this.#servers = servers;
  }

  /** Warns, unless that was done since the text was last forgotten. */
  warn(text: string): void {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.#logger.warn({ servers: this.#servers }, text);
  }

  /** What it told of is over: the next time is another one. */
  forget(text: string): void {
    this.#said.delete(text);
  }
}
