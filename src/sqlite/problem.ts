// Says in words what an error of SQLite or of the file system means and what to do about it.

/** What went wrong, in a form that can cross threads. */
export interface Problem {
  readonly kind: "unavailable" | "limit" | "too_large" | "invalid";
  readonly message: string;
}

/** An error that is worded already. */
export class ProblemError extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.message);
    this.problem = problem;
  }
}

/** The database has no room for a message. */
export class FullError extends ProblemError {}

// Primary result codes, https://www.sqlite.org/rescode.html
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_NOMEM = 7;
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_TOOBIG = 18;
const SQLITE_CONSTRAINT = 19;
const SQLITE_MISMATCH = 20;
const SQLITE_RANGE = 25;
const SQLITE_NOTADB = 26;

/** SQLite's errors that one call is to blame for; all others concern the database as a whole. */
const OF_ONE_CALL = new Set([SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_RANGE]);

/** SQLite's primary result code; undefined when the error is none of SQLite's. */
function resultCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | undefined)?.errcode;
  return typeof code === "number" ? code & 0xff : undefined;
}

/** The call is to blame alone; the others of its transaction can go on. */
export function concernsOneCall(error: unknown): boolean {
  const code = resultCode(error);
  return code === undefined || OF_ONE_CALL.has(code);
}

export function isLocked(error: unknown): boolean {
  const code = resultCode(error);
  return code === SQLITE_BUSY || code === SQLITE_LOCKED;
}

export function isFull(error: unknown): boolean {
  return error instanceof FullError || resultCode(error) === SQLITE_FULL;
}

export function describe(error: unknown, path: string): Problem {
  if (error instanceof ProblemError) return error.problem;
  const said = error instanceof Error ? error.message : String(error);
  switch (resultCode(error)) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return unavailable(
        `The database ${path} is locked by another process: end it, or let it finish its transaction.`,
      );
    case SQLITE_READONLY:
      return unavailable(
        `The database ${path} cannot be written: give this user the right to write it, the files ending in -wal and -shm beside it, and the directory.`,
      );
    case SQLITE_CANTOPEN:
      return unavailable(
        `The database ${path} cannot be opened: see that its directory exists and this user may write in it.`,
      );
    case SQLITE_FULL:
      return unavailable(`The disk or the database ${path} is full: make room, or raise max_page_count if it is set.`);
    case SQLITE_CORRUPT:
      return unavailable(
        `The database ${path} is damaged (${said}): put a backup in its place, or rescue what it holds with the .recover command of sqlite3.`,
      );
    case SQLITE_NOTADB:
      return unavailable(`The file ${path} is not an SQLite database: move it away.`);
    case SQLITE_IOERR:
      return unavailable(`Reading or writing the database ${path} failed (${said}): check the disk.`);
    case SQLITE_NOMEM:
      return unavailable(`There is not enough memory for the database ${path}: give the process more.`);
    case SQLITE_TOOBIG:
      return { kind: "too_large", message: "SQLite has no room for so large a message: send a smaller one." };
    default:
      break;
  }
  return unavailable(`The database ${path} failed: ${said}.`);
}

export function unavailable(message: string): Problem {
  return { kind: "unavailable", message };
}
