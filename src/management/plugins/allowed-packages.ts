// The permission to install a package, given on the broker's machine: an API key alone must not bring code to it.

/** How long it holds, in ms. */
const LIFETIME = 5 * 60_000;
/** Names that are allowed at a time. */
const MAX_ALLOWED = 100;

export class AllowedPackages {
  readonly #now: () => number;
  /** Names with the time when the permission ends. */
  readonly #until = new Map<string, number>();

  /** `now` gives the time in ms. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The oldest permission goes where there are too many. */
  allow(nameAndVersion: string): void {
    this.#until.delete(nameAndVersion);
    const [oldest] = this.#until.keys();
    if (this.#until.size >= MAX_ALLOWED && oldest !== undefined) this.#until.delete(oldest);
    this.#until.set(nameAndVersion, this.#now() + LIFETIME);
  }

  disallow(nameAndVersion: string): void {
    this.#until.delete(nameAndVersion);
  }

  has(nameAndVersion: string): boolean {
    return (this.#until.get(nameAndVersion) ?? Number.NEGATIVE_INFINITY) > this.#now();
  }
}
