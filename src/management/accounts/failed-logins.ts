// Counts failed attempts to sign in, and locks out who fails too often: an account from an address, and more slowly each of them alone.

import { isIPv6 } from "node:net";
import { ApiError } from "../api-error.ts";

/** By EMQX's names of `dashboard.unsuccessful_login_…`; times in seconds. */
export interface FailedLoginsOptions {
  /** Of one account from one address. */
  readonly maxAttempts: number;
  /** In which they count. */
  readonly interval: number;
  readonly lockDuration: number;
}

/** An address may fail so many times as often with several accounts, and an account from several addresses. */
const ALONE = 10;
/** What is counted at a time; the oldest makes room. */
const MAX_COUNTED = 10_000;

interface Counted {
  attempts: number;
  /** When the first of them was, in ms of the clock. */
  readonly since: number;
  /** In ms of the clock; 0: it is not. */
  lockedUntil: number;
}

export class FailedLogins {
  readonly #options: FailedLoginsOptions;
  readonly #now: () => number;
  readonly #counted = new Map<string, Counted>();

  /** `now` in ms. */
  constructor(options: FailedLoginsOptions, now: () => number) {
    this.#options = options;
    this.#now = now;
  }

  get size(): number {
    return this.#counted.size;
  }

  /** Throws `ApiError` 401 while the account, the address or both together are locked out. */
  check(address: string, account: string): void {
    if (this.#counted.size === 0) return;
    const now = this.#now();
    const until = Math.max(...keysOf(address, account).map(([key]) => this.#counted.get(key)?.lockedUntil ?? 0));
    if (until <= now) return;
    const seconds = Math.ceil((until - now) / 1000);
    throw new ApiError(401, "LOGIN_LOCKED", `Too many failed attempts: try again in ${seconds} s.`);
  }

  failed(address: string, account: string): void {
    const { maxAttempts, interval, lockDuration } = this.#options;
    const now = this.#now();
    for (const [key, times] of keysOf(address, account)) {
      const counted = this.#recent(key, now - interval * 1000) ?? { attempts: 0, since: now, lockedUntil: 0 };
      counted.attempts++;
      if (counted.attempts >= maxAttempts * times) counted.lockedUntil = now + lockDuration * 1000;
      this.#counted.set(key, counted);
    }
    for (const key of this.#counted.keys()) {
      if (this.#counted.size <= MAX_COUNTED) break;
      this.#counted.delete(key);
    }
  }

  /**
   * Counts an attempt as failed before it is known to be one, so that many at once are no way round. Throws `ApiError` as `check`
   * does; then `succeeded` must not be called.
   */
  begin(address: string, account: string): void {
    this.check(address, account);
    this.failed(address, account);
  }

  /** Takes back what `begin` counted. What this account failed before from this address counts no more; what the address did with others does. */
  succeeded(address: string, account: string): void {
    const [pair, ...alone] = keysOf(address, account);
    if (pair !== undefined) this.#counted.delete(pair[0]);
    for (const [key, times] of alone) {
      const counted = this.#counted.get(key);
      if (counted === undefined) continue;
      counted.attempts--;
      if (counted.attempts < this.#options.maxAttempts * times) counted.lockedUntil = 0;
    }
  }

  /** Lets an account in again, from everywhere. */
  unlock(account: string): void {
    for (const key of this.#counted.keys()) if (key.endsWith(`account=${account}`)) this.#counted.delete(key);
  }

  #recent(key: string, since: number): Counted | undefined {
    const counted = this.#counted.get(key);
    if (counted === undefined) return undefined;
    if (counted.since > since || counted.lockedUntil > this.#now()) return counted;
    this.#counted.delete(key);
    return undefined;
  }
}

/** Names are not kept longer than this: API keys come as they please. */
const MAX_NAME = 128;

/** With how many times the attempts each may fail; both together first. */
function keysOf(address: string, account: string): [key: string, times: number][] {
  const from = `address=${networkOf(address)}`;
  const as = `account=${account.slice(0, MAX_NAME)}`;
  return [
    [`${from} ${as}`, 1],
    [from, ALONE],
    [as, ALONE],
  ];
}

/** Who has an IPv6 address usually has all that begin with the same 64 bits. */
function networkOf(address: string): string {
  if (!isIPv6(address) || address.startsWith("::ffff:")) return address;
  const [head = "", tail] = address.split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const all = tail === undefined ? first : [...first, ...Array(8 - first.length - last.length).fill("0"), ...last];
  return all.slice(0, 4).join(":");
}
