// How long a client without reason codes waits for the end of its connection after a refused publish.

/** In seconds. */
const FIRST_DELAY = 1;
const MAX_DELAY = 30;
/** Clients remembered; the one that was refused longest ago is forgotten first. */
const MAX_CLIENTS = 10_000;

export class RefusalDelays {
  /** Refusals since the last success, by Client Identifier, the latest last. */
  readonly #refusals = new Map<string, number>();

  get size(): number {
    return this.#refusals.size;
  }

  /** Notes a refusal and returns the delay in seconds: 1, 2, 4 … 30. */
  next(clientId: string): number {
    const before = this.#refusals.get(clientId) ?? 0;
    this.#refusals.delete(clientId);
    this.#refusals.set(clientId, before + 1);
    if (this.#refusals.size > MAX_CLIENTS) this.#refusals.delete(this.#refusals.keys().next().value as string);
    return Math.min(MAX_DELAY, FIRST_DELAY * 2 ** before);
  }

  /** A publish of the client was taken. */
  reset(clientId: string): void {
    if (this.#refusals.size > 0) this.#refusals.delete(clientId);
  }
}
