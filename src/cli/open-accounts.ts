// Opens the accounts of the HTTP API, and makes the first user where there is none.

import { systemCause } from "../files/system-cause.ts";
import { AccountFileError } from "../management/accounts/account-file.ts";
import { Accounts } from "../management/accounts/accounts.ts";
import type { BrokerSettings } from "./broker-settings.ts";
import { StartError } from "./cli-error.ts";
import { isLoopback } from "./config-fields.ts";
import { accountsOptions } from "./dashboard-config.ts";
import type { Log } from "./log.ts";

/** Shown once: only a hash of the password is kept. */
export interface FirstUser {
  readonly username: string;
  readonly password: string;
}

/** Throws `StartError`. Where the file cannot be written there is no first user, but a warning. */
export function openAccounts(
  { paths, config, apiKeys }: BrokerSettings,
  { logger }: Log,
): { readonly accounts: Accounts; readonly firstUser: FirstUser | undefined } {
  const { bind } = config.dashboard.listeners.http;
  if (bind !== 0 && !isLoopback(bind)) {
    const message =
      `dashboard.listeners.http listens on ${bind.host}, so that passwords cross the network in clear: ` +
      "dashboard.listeners.https does not have this trouble";
    logger.warn({}, message);
  }
  let accounts: Accounts;
  try {
    const options = accountsOptions(config.dashboard);
    accounts = new Accounts({ path: paths.accounts, bootstrapKeys: apiKeys, options });
  } catch (error) {
    if (!(error instanceof AccountFileError)) throw error;
    throw new StartError(error.message, { cause: error });
  }
  try {
    return { accounts, firstUser: accounts.users.makeFirst() };
  } catch (error) {
    logger.warn({}, `${paths.accounts} cannot be written, so that nobody can sign in: ${systemCause(error)}`);
    return { accounts, firstUser: undefined };
  }
}
