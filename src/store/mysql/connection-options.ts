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
    // A payload may be in a column of type JSON.
    jsonStrings: true,
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
 * Modes in which a text is not what it was: a backslash in a string of a template has another meaning, an empty text is NULL
 * (MariaDB), and texts of CHAR columns are read with spaces behind them.
 */
const UNWANTED_MODES = ["NO_BACKSLASH_ESCAPES", "EMPTY_STRING_IS_NULL", "PAD_CHAR_TO_FULL_LENGTH"];
/** What does not fit in a column is an error instead of being cut. */
const WANTED_MODE = "STRICT_ALL_TABLES";

/** The server's own mode with another one for each that is not wanted: no statement has an empty text before that is done. */
const SQL_MODE = UNWANTED_MODES.reduce(
  (mode, unwanted) => `REPLACE(${mode}, '${unwanted}', '${WANTED_MODE}')`,
  `TRIM(BOTH ',' FROM CONCAT('${WANTED_MODE},', @@sql_mode))`,
);

/** What must not depend on the server's defaults; every user may set these. */
const SESSION: Readonly<Record<string, string | number>> = {
  // Every statement is a transaction of its own, and a COMMIT does not begin another one, in which later ones would stay.
  autocommit: 1,
  completion_type: 0,
  // Those of the handshake hold unless the server does not ask clients for theirs, or `init_connect` changes them.
  character_set_client: "utf8mb4",
  character_set_results: "utf8mb4",
  collation_connection: "utf8mb4_bin",
  sql_mode: SQL_MODE,
  // No page is cut, and what removes nothing (the probe) or uses no index in a small table is not refused.
  sql_select_limit: "18446744073709551615",
  sql_safe_updates: 0,
  // The milliseconds of a time, and texts as long as an index has room for.
  div_precision_increment: 4,
  max_sort_length: 3_072,
};

/** A lock is not waited for until the call's time is over, since it would not be known then what has become of the statement. */
export function sessionSettings(timeout: number): string {
  const lockWait = Math.max(1, Math.floor(timeout / 2_000));
  const all = { ...SESSION, innodb_lock_wait_timeout: lockWait, lock_wait_timeout: lockWait };
  const assignments = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
  return `SET SESSION ${assignments.join(", ")}`;
}
