// How long tokens are good for and who fails too often is locked out, and the defaults.

import type { FailedLoginsOptions } from "./failed-logins.ts";

export interface AccountsOptions {
  readonly failedLogins: FailedLoginsOptions;
  /** How long a token is good for without being used, in seconds. */
  readonly tokenLifetime: number;
}

/** By EMQX's `dashboard`, with its defaults. */
export const defaultAccountsOptions: AccountsOptions = {
  failedLogins: { maxAttempts: 5, interval: 300, lockDuration: 600 },
  tokenLifetime: 3600,
};
