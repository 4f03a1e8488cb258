// Waiting between tries, longer each time, that can be ended early.

/** First wait in ms. */
const FIRST = 100;
/** Longest wait in ms. */
const LONGEST = 1000;

export class Backoff {
  #next = FIRST;
  #end: ((goOn: boolean) => void) | undefined;
  #stopped = false;

  /** Waits. Resolves with true to try again, with false when stopped. */
  wait(): Promise<boolean> {
    if (this.#stopped) return Promise.resolve(false);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#end?.(true), this.#next);
      this.#next = Math.min(this.#next * 2, LONGEST);
      this.#end = (goOn) => {
        clearTimeout(timer);
        this.#end = undefined;
        resolve(goOn);
      };
    });
  }

  /** Ends a wait: try again now. */
  endWait(): void {
    this.#end?.(true);
  }

  /** The last try succeeded: the next wait is short again. */
  reset(): void {
    this.#next = FIRST;
  }

  /** Ends a wait and all later ones: don't try again. */
  stop(): void {
    this.#stopped = true;
    this.#end?.(false);
  }
}
