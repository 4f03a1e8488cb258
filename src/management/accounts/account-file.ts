// accounts.json of the data directory: users and API keys, without a password or secret in clear.

import { readFileSync } from "node:fs";
import { type Static, Type } from "typebox";
import { isNoSuchFile } from "../../files/no-such-file.ts";
import { removeUnfinished, writePrivateFile } from "../../files/private-files.ts";
import { CodedError } from "../../mqtt/coded-error.ts";
import { oneOf } from "../schemas.ts";
import { checkerOf } from "../validation.ts";
import { KEY_ROLES, USER_ROLES } from "./roles.ts";

const User = Type.Object({
  username: Type.String(),
  role: oneOf(USER_ROLES),
  description: Type.String(),
  password_hash: Type.String(),
});
const ApiKey = Type.Object({
  name: Type.String(),
  api_key: Type.String(),
  api_secret_hash: Type.String(),
  role: oneOf(KEY_ROLES),
  enable: Type.Boolean(),
  desc: Type.String(),
  /** In ms since the epoch; null: never. */
  expired_at: Type.Union([Type.Number(), Type.Null()]),
  /** In ms since the epoch. */
  created_at: Type.Number(),
});
const Accounts = Type.Object({ users: Type.Array(User), api_keys: Type.Array(ApiKey) });
const problemOf = checkerOf(Accounts, "the file");

export type StoredUser = Static<typeof User>;
export type StoredApiKey = Static<typeof ApiKey>;
export type StoredAccounts = Static<typeof Accounts>;

/** The file with the accounts cannot be used. */
export class AccountFileError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("ACCOUNT_FILE_INVALID", message, options);
  }
}

export class AccountFile {
  readonly #path: string;
  #content: StoredAccounts;

  /** Reads it; one that is not there has nobody. Throws `AccountFileError`. */
  constructor(path: string) {
    this.#path = path;
    removeUnfinished(path);
    this.#content = read(path) ?? { users: [], api_keys: [] };
  }

  get content(): StoredAccounts {
    return this.#content;
  }

  /** Writes what has changed. Throws the system's error; then nothing has changed. */
  write(changed: Partial<StoredAccounts>): void {
    const content = { ...this.#content, ...changed };
    writePrivateFile(this.#path, `${JSON.stringify(content, null, 2)}\n`);
    this.#content = content;
  }
}

function read(path: string): StoredAccounts | undefined {
  let cause: unknown;
  try {
    const content: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (problemOf(content) === undefined) return content as StoredAccounts;
    cause = new Error("it is no list of users and API keys");
  } catch (error) {
    if (isNoSuchFile(error)) return undefined;
    // JSON's message would show a part of the file.
    cause = error instanceof SyntaxError ? new Error("it is no JSON") : error;
  }
  const message =
    `${path} cannot be used (${(cause as Error).message}): put a backup in its place, or move it away; ` +
    "then the next start makes the user admin with another password, and there are no API keys";
  throw new AccountFileError(message, { cause });
}
