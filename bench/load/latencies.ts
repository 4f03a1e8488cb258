// Latencies as a histogram with buckets one percent wide, in a fixed amount of memory.

/** The lowest bucket, in ms. */
const LOWEST = 0.001;
const GROWTH = Math.log(1.01);
/** Up to 100 s. */
const BUCKETS = Math.ceil(Math.log(100_000 / LOWEST) / GROWTH);

export class Latencies {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  record(milliseconds: number): void {
    const bucket = Math.floor(Math.log(Math.max(milliseconds, LOWEST) / LOWEST) / GROWTH);
    const index = Math.min(bucket, BUCKETS - 1);
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#count += 1;
  }

  /** The latency in ms that this part (0 to 1) of all does not exceed; 0 when there are none. */
  percentile(part: number): number {
    let left = part * this.#count;
    if (left === 0) return 0;
    for (let index = 0; index < BUCKETS; index++) {
      left -= this.#counts[index] as number;
      if (left <= 0) return LOWEST * Math.exp((index + 0.5) * GROWTH);
    }
    return LOWEST * Math.exp(BUCKETS * GROWTH);
  }

  clear(): void {
    this.#counts.fill(0);
    this.#count = 0;
  }
}
