// How long things took, counted in fixed buckets: observing one allocates nothing.

export class Histogram {
  /** The upper ends of the buckets, in seconds, rising; a last one without an end follows. */
  readonly bounds: readonly number[];
  /** How many fell into each bucket, and not into one before it. */
  readonly counts: Float64Array;
  /** Of all, in seconds. */
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(seconds: number): void {
    const { bounds, counts } = this;
    let at = 0;
    while (at < bounds.length && seconds > (bounds[at] as number)) at += 1;
    counts[at] = (counts[at] as number) + 1;
    this.sum += seconds;
  }
}
