// The store's options in the words of the client library, and the settings of each session.

import { connect } from "node:net";
import type { ConnectionOptions } from "mysql2";
import { tlsConnectionOptions } from "../tls.ts";
import type { MySqlConnectionOptions } from "./options.ts";

/** An attempt to connect should not use up a call's whole time. */
const MAX_CONNECT_TIMEOUT = 2_000;
/** Prepared statements that a connection keeps. */
const MAX_PREPARED = 128;

/** Throws when a certificate cannot be read. */
export function connectionOptions(options: MySqlConnectionOptions): ConnectionOptions {
  const { host, port, database, username, password, timeout } = options;
  return {
    host,
    port,
    database,
    user: username,
    password,
    ...tlsOptions(options),
    connectTimeout: Math.min(timeout, MAX_CONNECT_TIMEOUT),
    charset: "utf8mb4_bin",
    supportBigNumbers: true,
    dateStrings: true,
    maxPreparedStatements: MAX_PREPARED,
    // A server must not be able to ask for files of this machine.
    flags: ["-LOCAL_FILES"],
  };
}

/** The library expects the name that it connects to in the certificate: so it is told that name, and given the socket. */
function tlsOptions({ tls, host, port }: MySqlConnectionOptions): Partial<ConnectionOptions> {
  if (tls === undefined) return {};
  const { ca, cert, key, passphrase, rejectUnauthorized } = tlsConnectionOptions(tls) as Record<
    string,
    Buffer & string
  > & {
    rejectUnauthorized: boolean;
  };
  const { serverNameIndication: name } = tls;
  const named = name !== undefined && name !== "" && name !== "disable";
  return {
    ssl: { ca, cert, key, passphrase, rejectUnauthorized, verifyIdentity: named && rejectUnauthorized },
    ...(named ? { host: name, stream: () => connect(port, host) } : undefined),
  };
}

/**
 * Every statement is a transaction of its own, whatever the server's default. What does not fit in a column is an error instead
 * of being cut, and a backslash in a string means the same everywhere. A lock is not waited for until the call's time is over,
 * since it would not be known then what has become of the statement.
 */
export function sessionSettings(timeout: number): string {
  const lockWait = Math.max(1, Math.floor(timeout / 2_000));
  const mode = "REPLACE(REPLACE(CONCAT('STRICT_ALL_TABLES,', @@sql_mode), 'NO_BACKSLASH_ESCAPES', ''), ',,', ',')";
  return `SET SESSION autocommit = 1, innodb_lock_wait_timeout = ${lockWait}, lock_wait_timeout = ${lockWait}, sql_mode = ${mode}`;
}
