// Who may use the API: users with passwords and tokens, API keys, and the count of those who fail.

import { AccountFile } from "./account-file.ts";
import { ApiKeys } from "./api-keys.ts";
import type { BootstrapKey } from "./bootstrap-keys.ts";
import { FailedLogins } from "./failed-logins.ts";
import { type AccountsOptions, defaultAccountsOptions } from "./options.ts";
import { Tokens } from "./tokens.ts";
import { Users } from "./users.ts";

export interface AccountsParts {
  /** The file that keeps them. */
  readonly path: string;
  readonly bootstrapKeys?: readonly BootstrapKey[];
  readonly options?: AccountsOptions;
  /** A clock for spans of time, in ms. */
  readonly now?: () => number;
}

export class Accounts {
  readonly users: Users;
  readonly keys: ApiKeys;
  readonly tokens: Tokens;
  readonly failedLogins: FailedLogins;

  /** Throws `AccountFileError`. */
  constructor({
    path,
    bootstrapKeys = [],
    options = defaultAccountsOptions,
    now = () => performance.now(),
  }: AccountsParts) {
    const file = new AccountFile(path);
    this.tokens = new Tokens({ lifetime: options.tokenLifetime, now });
    this.failedLogins = new FailedLogins(options.failedLogins, now);
    this.users = new Users(file, (username) => this.tokens.revokeAll(username));
    this.keys = new ApiKeys(file, bootstrapKeys, () => Date.now());
  }
}
