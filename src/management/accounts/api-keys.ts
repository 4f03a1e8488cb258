// API keys: those of the bootstrap file, and those that are made, changed and deleted while the broker runs.

import { ApiError } from "../api-error.ts";
import type { AccountFile, StoredApiKey } from "./account-file.ts";
import type { BootstrapKey } from "./bootstrap-keys.ts";
import { DEFAULT_ROLE, type KeyRole } from "./roles.ts";
import { hashSecret, isSecret, randomSecret } from "./secrets.ts";

/** EMQX's rule for names. */
export const KEY_NAME = "^[A-Za-z]+[A-Za-z0-9_-]*$";
export const MAX_KEY_NAME = 256;
const MAX_KEYS = 1000;

export interface KeyChanges {
  readonly role?: KeyRole;
  readonly enable?: boolean;
  readonly desc?: string;
  /** In ms since the epoch; null: never. */
  readonly expired_at?: number | null;
}

export interface FoundKey {
  readonly role: KeyRole;
  readonly hash: string;
  /** Somebody thought its secret up, so that it may be guessed. */
  readonly isGuessable: boolean;
}

/** What is compared where there is no such key. */
const NOBODY: FoundKey = { role: "publisher", hash: hashSecret(randomSecret()), isGuessable: true };

export class ApiKeys {
  readonly #file: AccountFile;
  readonly #now: () => number;
  readonly #bootstrap: ReadonlyMap<string, FoundKey>;

  /** `now` in ms since the epoch. */
  constructor(file: AccountFile, bootstrap: readonly BootstrapKey[], now: () => number) {
    this.#file = file;
    this.#now = now;
    this.#bootstrap = new Map(
      bootstrap.map(({ key, secret, role }) => [key, { hash: hashSecret(secret), role, isGuessable: true }]),
    );
  }

  /** A key that may be used; undefined: there is none, it is disabled or has expired. */
  find(key: string): FoundKey | undefined {
    const made = this.list().find((other) => other.api_key === key);
    if (made === undefined) return this.#bootstrap.get(key);
    if (!made.enable || this.isExpired(made)) return undefined;
    return { role: made.role, hash: made.api_secret_hash, isGuessable: false };
  }

  /** Takes as long for a key that is not there. */
  roleOf(found: FoundKey | undefined, secret: string): KeyRole | undefined {
    const isRight = isSecret(secret, (found ?? NOBODY).hash);
    return isRight ? found?.role : undefined;
  }

  /** Those of the bootstrap file have no name and are not among them. */
  list(): readonly StoredApiKey[] {
    return this.#file.content.api_keys;
  }

  /** Throws `ApiError` 404. */
  get(name: string): StoredApiKey {
    const key = this.list().find((other) => other.name === name);
    if (key === undefined) throw new ApiError(404, "NOT_FOUND", `There is no API key ${JSON.stringify(name)}.`);
    return key;
  }

  isExpired({ expired_at }: StoredApiKey): boolean {
    return expired_at !== null && expired_at <= this.#now();
  }

  /** The secret is told only here. Throws `ApiError` 400 for a name that is taken. */
  create(
    name: string,
    { role = DEFAULT_ROLE, enable = true, desc = "", expired_at = null }: KeyChanges,
  ): { readonly key: StoredApiKey; readonly secret: string } {
    if (this.list().some((other) => other.name === name)) {
      throw new ApiError(400, "BAD_REQUEST", `The API key ${name} is there already.`);
    }
    if (this.list().length >= MAX_KEYS)
      throw new ApiError(400, "BAD_REQUEST", `There are ${MAX_KEYS} API keys already.`);
    const secret = randomSecret();
    const api_key = randomSecret().slice(0, 16);
    const created_at = this.#now();
    const key = { name, api_key, api_secret_hash: hashSecret(secret), role, enable, desc, expired_at, created_at };
    this.#file.write({ api_keys: [...this.list(), key] });
    return { key, secret };
  }

  /** Throws `ApiError` 404. */
  update(name: string, changes: KeyChanges): StoredApiKey {
    const key = this.get(name);
    const next = { ...key, ...changes };
    this.#file.write({ api_keys: this.list().map((other) => (other === key ? next : other)) });
    return next;
  }

  /** Throws `ApiError` 404. */
  delete(name: string): void {
    const key = this.get(name);
    this.#file.write({ api_keys: this.list().filter((other) => other !== key) });
  }
}
