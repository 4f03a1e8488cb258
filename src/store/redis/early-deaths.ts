// Messages that expire before their entry in the sorted set is due: when they do, so that the entry can go with them.
//
// Redis removes the hash of an expired message by itself, but not the entry that names it. For what does not fit in
// here, or was written by another process, readers remove the entry.

const MAX_DEATHS = 50_000;

export interface EarlyDeath {
  /** In ms since the epoch. */
  readonly at: number;
  readonly id62: string;
  readonly topic: string;
}

export class EarlyDeaths {
  /** A binary heap: the first to die is at index 0. */
  readonly #heap: EarlyDeath[] = [];

  add(death: EarlyDeath): void {
    const heap = this.#heap;
    if (heap.length >= MAX_DEATHS) return;
    let at = heap.length;
    heap.push(death);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as EarlyDeath;
      if (above.at <= death.at) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = death;
  }

  /** Takes out up to `limit` that have died by now. */
  take(now: number, limit: number): EarlyDeath[] {
    const taken: EarlyDeath[] = [];
    while (taken.length < limit) {
      const first = this.#heap[0];
      if (first === undefined || first.at > now) break;
      taken.push(first);
      this.#removeFirst();
    }
    return taken;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as EarlyDeath;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as EarlyDeath).at < (heap[child] as EarlyDeath).at) child++;
      if (last.at <= (heap[child] as EarlyDeath).at) break;
      heap[at] = heap[child] as EarlyDeath;
      at = child;
    }
    heap[at] = last;
  }
}
