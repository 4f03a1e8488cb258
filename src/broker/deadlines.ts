// When a connection is overdue: with its CONNECT, with a packet within its Keep Alive, with writing its last packets.

export class Deadlines {
  /** Times of the monotonic clock, in ms. */
  #lastReceived = performance.now();
  #closeAt: number;
  /** In ms; 0: none. */
  #keepAlive = 0;

  /** CONNECT has to come within so many seconds. */
  constructor(idleTimeout: number) {
    this.#closeAt = this.#lastReceived + idleTimeout * 1000;
  }

  /** Whether the connection ends at a time that is set. */
  get isClosing(): boolean {
    return this.#closeAt !== Number.POSITIVE_INFINITY;
  }

  /** Something has come, or the client could not send. */
  received(): void {
    this.#lastReceived = performance.now();
  }

  /** CONNECT has come; from now on a packet has to come within so many seconds; 0: it need not. */
  connected(keepAlive: number): void {
    this.#closeAt = Number.POSITIVE_INFINITY;
    this.#keepAlive = keepAlive * 1000;
  }

  /** The connection ends after so many seconds. */
  closeAfter(delay: number): void {
    this.#closeAt = performance.now() + delay * 1000;
  }

  /** What is overdue at this time of the monotonic clock, in ms. */
  overdue(now: number): "close" | "keep_alive" | undefined {
    if (now >= this.#closeAt) return "close";
    return this.#keepAlive > 0 && now - this.#lastReceived > this.#keepAlive ? "keep_alive" : undefined;
  }
}
