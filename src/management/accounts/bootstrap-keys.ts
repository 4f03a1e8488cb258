// The bootstrap file of API keys: `key:secret` or `key:secret:role` on each line, as EMQX reads it.

import { DEFAULT_ROLE, isKeyRole, KEY_ROLES, type KeyRole } from "./roles.ts";

const MAX_KEYS = 1000;

export interface BootstrapKey {
  readonly key: string;
  readonly secret: string;
  readonly role: KeyRole;
}

export interface KeyProblem {
  /** Counted from 1. */
  readonly line: number;
  readonly message: string;
}

/** Empty lines count for nothing. */
export function parseBootstrapKeys(
  text: string,
): { keys: readonly BootstrapKey[] } | { problems: readonly KeyProblem[] } {
  const keys = new Map<string, BootstrapKey>();
  const problems: KeyProblem[] = [];
  for (const [at, content] of text.split(/\r?\n/).entries()) {
    if (content.trim() === "") continue;
    const [key = "", secret = "", role = DEFAULT_ROLE, ...others] = content.trim().split(":");
    // The line is not told: it has a secret.
    const report = (message: string) => problems.push({ line: at + 1, message });
    if (content.startsWith("#")) report("begins with #: a comment would be a key, so that there are none");
    else if (/\s/.test(content.trim())) report("has a space or a tab in it");
    else if (key === "" || secret === "" || others.length > 0) report("is not key:secret or key:secret:role");
    else if (!isKeyRole(role)) report(`names a role that is none of ${KEY_ROLES.join(", ")}`);
    else if (keys.has(key)) report("has a key that stands above already");
    else if (keys.size === MAX_KEYS) report(`is one key more than ${MAX_KEYS}`);
    else keys.set(key, { key, secret, role });
  }
  return problems.length > 0 ? { problems } : { keys: [...keys.values()] };
}
