// What an error of MySQL or of the connection to it means for the calls that met it, in words that tell what to do.

import { type StoreError, StoreInvalidError, StoreTooLargeError, StoreUnavailableError } from "../errors.ts";

export interface Problem {
  /**
   * `retry`: may be over in a moment. `refused`: lasts until somebody does something. `full`: writes fail until there is room,
   * while reads and removals go on. `locked`: has taken the time that it may take, or a file is missing that it needs; other
   * statements may work. `data`: concerns a value of this statement alone.
   */
  readonly kind: "retry" | "refused" | "full" | "locked" | "data";
  readonly error: StoreError;
}

/** An error that the server has sent; others come from the connection. */
export interface ServerError extends Error {
  readonly errno: number;
  readonly sqlState: string;
  readonly sqlMessage: string;
}

/** Errors by their numbers in MySQL's and MariaDB's reference manuals. */
const RETRY: Readonly<Record<number, string>> = {
  1040: "MySQL has no connection left: raise its max_connections, or end other clients.",
  1203: "The MySQL user has no connection left: raise max_user_connections, or end its other clients.",
  1226: "The MySQL user is at a limit of its account: raise it, or wait.",
  1053: "MySQL is shutting down: start it again.",
  1077: "MySQL is shutting down: start it again.",
  1079: "MySQL is shutting down: start it again.",
  1020: "MySQL has ended the transaction since somebody else changed its rows: it is tried again.",
  1213: "MySQL has ended the transaction because of a deadlock: it is tried again.",
  1317: "MySQL has interrupted the statement: it is tried again.",
  1615: "MySQL has to prepare a statement once more: it is tried again.",
  1927: "MySQL has ended the connection: it is made again.",
  3169: "MySQL has ended the connection: it is made again.",
  4031: "MySQL has ended the connection: it is made again.",
};

/** MariaDB says no more, whichever of these it is. */
const NO_ACCESS =
  "MySQL does not accept the user name and password, or asks this account for TLS or a client certificate: correct mysql.username, mysql.password and mysql.ssl.";

const REFUSED: Readonly<Record<number, string>> = {
  1044: "The MySQL user may not use the database, or there is none of this name: create it and grant what docs/mysql.md lists, or correct mysql.database.",
  1045: NO_ACCESS,
  1049: "There is no such database in MySQL: create it, or correct mysql.database.",
  1129: "MySQL lets this host in no more after too many failed connections: run mysqladmin flush-hosts.",
  1130: "MySQL lets this host not in: create the user for this host.",
  1142: "The MySQL user lacks a right that the store needs, or the table is missing: grant what docs/mysql.md lists.",
  1143: "The MySQL user lacks a right that the store needs: grant what docs/mysql.md lists.",
  1146: "A table is missing in MySQL: create it, or set mysql.init_default_schema = true.",
  1054: "A column is missing in MySQL: correct the SQL templates or the table.",
  1227: "The MySQL user lacks a right that the store needs: grant what docs/mysql.md lists.",
  1290: "MySQL is read-only and refuses writes: set read_only = OFF, or correct mysql.server.",
  1836: "MySQL is read-only and refuses writes: set read_only = OFF, or correct mysql.server.",
  1698: NO_ACCESS,
  3159: "MySQL asks for TLS: set mysql.ssl.enable = true.",
  4151: "The account of the MySQL user is locked: unlock it.",
};

const NO_SUCH_TABLE = 1146;
const OWN_TABLE_MISSING = "A table of the SQL templates is missing in MySQL: create it, or correct the templates.";

const LOCKED: Readonly<Record<number, string>> = {
  1205: "Rows or a table that the store needs are locked by somebody else, as while omp mysql migrate runs: wait, or end that transaction.",
  1206: "MySQL has no room for more locks: end other transactions.",
  1969: "MySQL has ended the statement after max_statement_time: raise it.",
  3024: "MySQL has ended the statement after max_execution_time: raise it.",
};

/** Numbers below are those of the server's dealings with files, such as the temporary ones in its tmpdir. */
const FIRST_OWN_ERROR = 1000;
const FILES = "MySQL cannot use one of its files: see whether its disk and its tmpdir are there and have room.";

const FULL: Readonly<Record<number, string>> = {
  1021: "The disk of MySQL is full: free it.",
  1114: "MySQL has no room left in its tables: give it more, or fetch or purge messages.",
  1030: "The storage engine of MySQL reports an error: see the log of MySQL.",
  1041: "MySQL is out of memory: give it more.",
  1135: "MySQL cannot start a thread: give it more memory.",
};

/** Beside those of the classes 21 (wrong number of values) and 42 (syntax, unknown names) of SQLSTATE: an unknown column … */
const STATEMENT_MISTAKES = new Set([1054, 1052, 1093, 1111, 1193, 1210, 1221, 1267, 1273, 1288, 1295]);
/** … but not that there are too many prepared statements, or that a procedure may not be run. */
const NO_STATEMENT_MISTAKES = new Set([1461, 1370]);

/** Values that a column does not take. */
const TOO_LONG = new Set([1406, 1264, 1153, 3140]);
const WRONG_VALUE = new Set([1048, 1062, 1265, 1292, 1364, 1366, 1300, 3819, 4025, 3988]);

/** Codes of Node and of the client library for certificates and handshakes that fail. */
const TLS_ERROR = /^(?:ERR_TLS|ERR_SSL|HANDSHAKE_(?:NO_)?SSL|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|EPROTO)/;

export function isServerError(error: Error): error is ServerError {
  return typeof (error as Partial<ServerError>).sqlState === "string";
}

/** The server has taken the transaction back, and it can be tried again at once. */
export function isDeadlock(error: unknown): boolean {
  return error instanceof Error && isServerError(error) && (error.errno === 1213 || error.errno === 1020);
}

/** A table is missing that is none of those of EMQX's plugin, which `init_default_schema` would create. */
function lacksOwnTable({ errno, sqlMessage }: ServerError): boolean {
  return errno === NO_SUCH_TABLE && !/\bmqtt_(?:msg|sub)\b/i.test(sqlMessage);
}

/**
 * The statement is wrong, whatever values it has and whoever sends it, when the server refuses to prepare it so: its text, or it
 * names a table that only the user can create.
 */
export function isStatementMistake(error: unknown): error is ServerError {
  if (!(error instanceof Error) || !isServerError(error)) return false;
  const { errno, sqlState } = error;
  if (STATEMENT_MISTAKES.has(errno) || lacksOwnTable(error)) return true;
  const isKnown = [RETRY, REFUSED, LOCKED, FULL].some((known) => errno in known);
  return /^(?:21|42)/.test(sqlState) && !isKnown && !NO_STATEMENT_MISTAKES.has(errno);
}

/** What an error means. `where` names the server. */
export function problemOf(error: Error, where: string): Problem {
  if (!isServerError(error)) {
    const cause = error.message.replace(/[.\s]+$/, "");
    const message = TLS_ERROR.test(String((error as { code?: unknown }).code))
      ? `MySQL at ${where} and the broker cannot agree on TLS (${cause}): correct mysql.ssl, or the server's certificate.`
      : `MySQL at ${where} cannot be reached (${cause}): start it, or correct mysql.server and mysql.ssl.`;
    return { kind: "retry", error: new StoreUnavailableError(message) };
  }
  const { errno } = error;
  const detail = error.sqlMessage || error.message;
  if (errno < FIRST_OWN_ERROR) {
    return { kind: "locked", error: new StoreUnavailableError(`${FILES} (${detail})`) };
  }
  const again = RETRY[errno];
  if (again !== undefined) return { kind: "retry", error: new StoreUnavailableError(again) };
  const locked = LOCKED[errno];
  if (locked !== undefined) return { kind: "locked", error: new StoreUnavailableError(locked) };
  const full = FULL[errno];
  if (full !== undefined) return { kind: "full", error: new StoreUnavailableError(`${full} (${detail})`) };
  if (TOO_LONG.has(errno)) {
    return { kind: "data", error: new StoreTooLargeError(`A value does not fit in its column: ${detail}.`) };
  }
  if (WRONG_VALUE.has(errno)) {
    return { kind: "data", error: new StoreInvalidError(`MySQL does not take a value: ${detail}.`) };
  }
  const refused = lacksOwnTable(error) ? OWN_TABLE_MISSING : REFUSED[errno];
  const message = refused === undefined ? `MySQL refuses a statement: ${detail}.` : `${refused} (${detail})`;
  return { kind: "refused", error: new StoreUnavailableError(message) };
}
