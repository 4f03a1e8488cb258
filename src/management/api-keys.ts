// API keys from a bootstrap file: who they are, and what their roles may do.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** `viewer` may read, `publisher` may publish and nothing else. */
export const ROLES = ["administrator", "viewer", "publisher"] as const;
export type Role = (typeof ROLES)[number];

const MAX_KEYS = 1000;

export interface ApiKey {
  readonly key: string;
  readonly secret: string;
  readonly role: Role;
}

export interface KeyProblem {
  /** Counted from 1. */
  readonly line: number;
  readonly message: string;
}

/** Reads a bootstrap file: `key:secret` or `key:secret:role` on each line, as EMQX does; empty lines count for nothing. */
export function parseApiKeys(text: string): { keys: readonly ApiKey[] } | { problems: readonly KeyProblem[] } {
  const keys = new Map<string, ApiKey>();
  const problems: KeyProblem[] = [];
  for (const [at, content] of text.split(/\r?\n/).entries()) {
    if (content.trim() === "") continue;
    const [key = "", secret = "", role = "administrator", ...others] = content.trim().split(":");
    // The line is not told: it has a secret.
    const report = (message: string) => problems.push({ line: at + 1, message });
    if (key === "" || secret === "" || others.length > 0) report("is not key:secret or key:secret:role");
    else if (!isRole(role)) report(`names a role that is none of ${ROLES.join(", ")}`);
    else if (keys.has(key)) report("has a key that stands above already");
    else if (keys.size === MAX_KEYS) report(`is one key more than ${MAX_KEYS}`);
    else keys.set(key, { key, secret, role });
  }
  return problems.length > 0 ? { problems } : { keys: [...keys.values()] };
}

function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text);
}

/** Keys without their secrets in clear. */
export class ApiKeys {
  readonly #salt = randomBytes(32);
  readonly #keys: ReadonlyMap<string, { readonly hash: Buffer; readonly role: Role }>;
  readonly #nobody: Buffer;

  constructor(keys: readonly ApiKey[]) {
    this.#keys = new Map(keys.map(({ key, secret, role }) => [key, { hash: this.#hash(secret), role }]));
    this.#nobody = this.#hash("");
  }

  /** The key's role; undefined: there is no such key, or it has another secret. Takes as long in both cases. */
  roleOf(key: string, secret: string): Role | undefined {
    const known = this.#keys.get(key);
    const isRight = timingSafeEqual(this.#hash(secret), known?.hash ?? this.#nobody);
    return isRight ? known?.role : undefined;
  }

  #hash(secret: string): Buffer {
    return createHmac("sha256", this.#salt).update(secret).digest();
  }
}
