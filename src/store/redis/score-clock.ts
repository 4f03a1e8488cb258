// Scores of sorted sets: the time of storing in ms with fraction, each above the one before.

const MICROSECONDS = 1_000;

export class ScoreClock {
  #last = 0;

  /** In ms since the epoch, to the microsecond. */
  next(): number {
    this.#last = Math.max(Date.now() * MICROSECONDS, this.#last + 1);
    return this.#last / MICROSECONDS;
  }

  /** Makes all later scores greater than this one. What no clock of our time has told is passed over. */
  advancePast(score: number): void {
    const microseconds = Math.ceil(score * MICROSECONDS);
    if (microseconds < Number.MAX_SAFE_INTEGER) this.#last = Math.max(this.#last, microseconds);
  }
}
