// Tries a user's password, and counts those that are wrong.

import type { StoredUser } from "./account-file.ts";
import type { Accounts } from "./accounts.ts";
import type { Attempt } from "./failed-logins.ts";

export interface GivenPassword {
  readonly username: string;
  readonly password: string;
  /** Of who gives it. */
  readonly ip: string;
}

/** The user, if that is its password. Rejects with `ApiError`: 401 for who is locked out, 503 where too many wait, which counts for nothing. */
export async function checkPassword(
  { users, failedLogins }: Pick<Accounts, "users" | "failedLogins">,
  { username, password, ip }: GivenPassword,
): Promise<StoredUser | undefined> {
  const isKnown = users.find(username) !== undefined;
  const attempt: Attempt = { address: ip, kind: "user", name: username, isKnown };
  failedLogins.begin(attempt);
  try {
    const user = await users.withPassword(username, password);
    if (user !== undefined) failedLogins.succeeded(attempt);
    return user;
  } catch (error) {
    failedLogins.cancelled(attempt);
    throw error;
  }
}
