// Counts failed attempts under names: in a window of time, with a lock at a limit, and only so many names at a time.

export interface AttemptLimits {
  /** At so many attempts the name is locked. */
  readonly maxAttempts: number;
  /** In which they count, from the first one, in ms. */
  readonly interval: number;
  /** In ms. */
  readonly lockDuration: number;
  /** Names that are counted at a time: the oldest that is not locked makes room, and the oldest of all where every one is. */
  readonly maxNames: number;
}

interface Counted {
  attempts: number;
  /** When the first of them was, in ms of the clock. */
  readonly since: number;
  /** In ms of the clock; 0: it is not. */
  lockedUntil: number;
}

/** Names that are looked at for one that may make room. */
const MAX_LOOKS = 100;

export class AttemptCounts {
  readonly #limits: AttemptLimits;
  readonly #now: () => number;
  readonly #unlocked = new Map<string, Counted>();
  readonly #locked = new Map<string, Counted>();

  /** `now` in ms. */
  constructor(limits: AttemptLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  get size(): number {
    return this.#unlocked.size + this.#locked.size;
  }

  /** Until when the name is locked, in ms of the clock; 0: it is not. */
  lockedUntil(name: string): number {
    const locked = this.#locked.get(name);
    if (locked === undefined) return 0;
    if (locked.lockedUntil > this.#now()) return locked.lockedUntil;
    this.#locked.delete(name);
    return 0;
  }

  add(name: string): void {
    const { maxAttempts, interval, lockDuration, maxNames } = this.#limits;
    const now = this.#now();
    if (this.lockedUntil(name) > 0) return;
    const known = this.#unlocked.get(name);
    const counted =
      known !== undefined && known.since + interval > now ? known : { attempts: 0, since: now, lockedUntil: 0 };
    counted.attempts++;
    this.#unlocked.delete(name);
    if (counted.attempts >= maxAttempts) this.#locked.set(name, { ...counted, lockedUntil: now + lockDuration });
    else this.#unlocked.set(name, counted);
    if (this.size > maxNames) this.#makeRoom();
  }

  /** Takes one attempt back, and the lock with it if it was the one too many. */
  takeBack(name: string): void {
    const locked = this.#locked.get(name);
    const counted = locked ?? this.#unlocked.get(name);
    if (counted === undefined) return;
    counted.attempts--;
    if (counted.attempts >= this.#limits.maxAttempts) return;
    this.#locked.delete(name);
    if (counted.attempts > 0) this.#unlocked.set(name, { ...counted, lockedUntil: 0 });
    else this.#unlocked.delete(name);
  }

  forget(name: string): void {
    this.#unlocked.delete(name);
    this.#locked.delete(name);
  }

  forgetAll(): void {
    this.#unlocked.clear();
    this.#locked.clear();
  }

  forgetWhere(matches: (name: string) => boolean): void {
    for (const name of [...this.#unlocked.keys(), ...this.#locked.keys()]) if (matches(name)) this.forget(name);
  }

  #makeRoom(): void {
    let looks = 0;
    for (const name of this.#locked.keys()) {
      if (looks++ === MAX_LOOKS || this.size <= this.#limits.maxNames) break;
      // Looking at a lock that is over removes it.
      this.lockedUntil(name);
    }
    if (this.size <= this.#limits.maxNames) return;
    const [oldest] = this.#unlocked.size > 0 ? this.#unlocked.keys() : this.#locked.keys();
    if (oldest !== undefined) this.forget(oldest);
  }
}
