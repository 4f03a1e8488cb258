// Counts failed attempts to sign in, and locks out who fails too often: an account from an address, and more slowly each of them alone.

import { isIPv6 } from "node:net";
import { ApiError } from "../api-error.ts";
import { AttemptCounts } from "./attempt-counts.ts";

/** By EMQX's names of `dashboard.unsuccessful_login_…`; times in seconds. */
export interface FailedLoginsOptions {
  /** Of one account from one address. */
  readonly maxAttempts: number;
  /** In which they count. */
  readonly interval: number;
  readonly lockDuration: number;
}

/** Whose secret is tried, and from where. */
export interface Attempt {
  readonly address: string;
  /** A user and a key of the same name are two. */
  readonly kind: "user" | "key";
  readonly name: string;
  /**
   * There is such an account. Only these are counted by themselves, so that nobody can fill that count with names; there are so many
   * accounts at most.
   */
  readonly isKnown: boolean;
}

/** An address may fail so many times as often with several accounts, and an account from several addresses. */
const ALONE = 10;
/** Addresses, and accounts from an address, that are counted at a time. */
const MAX_COUNTED = 10_000;
/** Users and keys that there can be. */
const MAX_ACCOUNTS = 3000;
/** Names are not kept longer than this: API keys come as they please. */
const MAX_NAME = 128;

export class FailedLogins {
  readonly #now: () => number;
  readonly #pairs: AttemptCounts;
  readonly #addresses: AttemptCounts;
  readonly #accounts: AttemptCounts;

  /** `now` in ms. */
  constructor({ maxAttempts, interval, lockDuration }: FailedLoginsOptions, now: () => number) {
    const times = { interval: interval * 1000, lockDuration: lockDuration * 1000 };
    this.#now = now;
    this.#pairs = new AttemptCounts({ maxAttempts, ...times, maxNames: MAX_COUNTED }, now);
    this.#addresses = new AttemptCounts({ maxAttempts: maxAttempts * ALONE, ...times, maxNames: MAX_COUNTED }, now);
    this.#accounts = new AttemptCounts({ maxAttempts: maxAttempts * ALONE, ...times, maxNames: MAX_ACCOUNTS }, now);
  }

  get size(): number {
    return this.#pairs.size + this.#addresses.size + this.#accounts.size;
  }

  /** Throws `ApiError` 401 while the account, the address or both together are locked out. */
  check(attempt: Attempt): void {
    const { address, account, pair } = namesOf(attempt);
    const until = Math.max(
      this.#pairs.lockedUntil(pair),
      this.#addresses.lockedUntil(address),
      this.#accounts.lockedUntil(account),
    );
    if (until === 0) return;
    const seconds = Math.ceil((until - this.#now()) / 1000);
    throw new ApiError(401, "LOGIN_LOCKED", `Too many failed attempts: try again in ${seconds} s.`);
  }

  failed(attempt: Attempt): void {
    const { address, account, pair } = namesOf(attempt);
    this.#pairs.add(pair);
    this.#addresses.add(address);
    if (attempt.isKnown) this.#accounts.add(account);
  }

  /**
   * Counts an attempt as failed before it is known to be one, so that many at once are no way round. `succeeded` or `cancelled` takes
   * that back. Throws `ApiError` as `check` does; then nothing is counted.
   */
  begin(attempt: Attempt): void {
    this.check(attempt);
    this.failed(attempt);
  }

  /** What this account failed before from this address counts no more; what the address did with others does. */
  succeeded(attempt: Attempt): void {
    this.cancelled(attempt);
    this.#pairs.forget(namesOf(attempt).pair);
  }

  /** Nobody could tell whether it would have failed. */
  cancelled(attempt: Attempt): void {
    const { address, account, pair } = namesOf(attempt);
    this.#pairs.takeBack(pair);
    this.#addresses.takeBack(address);
    if (attempt.isKnown) this.#accounts.takeBack(account);
  }

  /** Lets a user in again, wherever from. */
  unlock(username: string): void {
    const { account } = namesOf({ address: "", kind: "user", name: username, isKnown: true });
    this.#accounts.forget(account);
    this.#pairs.forgetWhere((pair) => pair.endsWith(` ${account}`));
    this.#addresses.forgetAll();
  }
}

function namesOf({ address, kind, name }: Attempt): { address: string; account: string; pair: string } {
  const network = networkOf(address);
  const account = `${kind}=${name.slice(0, MAX_NAME)}`;
  return { address: network, account, pair: `${network} ${account}` };
}

/** Who has an IPv6 address usually has all that begin with the same 64 bits. */
function networkOf(address: string): string {
  if (address.startsWith("::ffff:")) return address.slice("::ffff:".length);
  if (!isIPv6(address)) return address;
  const [head = "", tail] = address.split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const all = tail === undefined ? first : [...first, ...Array(8 - first.length - last.length).fill("0"), ...last];
  return all.slice(0, 4).join(":");
}
