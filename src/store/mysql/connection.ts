// A connection to MySQL: made again whenever it breaks, with the settings of its session, one statement after the other.
//
// It keeps nothing for later: a statement that cannot be sent or answered fails at once, and the store decides what to do. A
// statement that is not answered within the store timeout breaks the connection, since a server that hangs would keep all
// that come behind it waiting.

import { type Connection, createConnection } from "mysql2";
import { connectionOptions, sessionSettings } from "./connection-options.ts";
import type { MySqlConnectionOptions } from "./options.ts";
import { isServerError } from "./problem.ts";
import { type ColumnOfResult, type Parameter, type Result, toColumns, toResult } from "./result.ts";

/** Between two attempts to connect, in ms. */
const FIRST_RETRY = 50;
const MAX_RETRY = 500;
/** Broken connections that are remembered. Until they have ended no write is sent, so that later ones have done nothing. */
const MAX_LEFT = 16;

/** What names a connection at the server, also after it has broken. */
export interface ConnectionIdentity {
  readonly id: number;
  /** As in the list of processes: this end's host and port as the server sees them. */
  readonly host: string;
}

export interface ConnectionEvents {
  /** It is connected, at first or again. */
  readonly ready?: () => void;
  /** It has broken, or could not be made. */
  readonly failed?: (error: Error) => void;
  /** Whether there is hope for another attempt. */
  readonly mayRetry?: () => boolean;
}

type Answer = (error: Error | null, result?: unknown) => void;
type Send = (connection: Connection, answer: Answer) => void;

export class MySqlConnection {
  readonly #options: MySqlConnectionOptions;
  readonly #events: ConnectionEvents;
  #connection: Connection | undefined;
  #isReady = false;
  #isClosed = false;
  #identity: ConnectionIdentity | undefined;
  readonly #left: ConnectionIdentity[] = [];
  #attempts = 0;
  #retry: NodeJS.Timeout | undefined;
  #lastError = new Error("not connected yet");
  /** How to reject the statements that are under way. */
  readonly #underWay = new Set<(error: Error) => void>();
  readonly #firstAttempt = Promise.withResolvers<void>();

  /** Begins to connect. */
  constructor(options: MySqlConnectionOptions, events: ConnectionEvents = {}) {
    this.#options = options;
    this.#events = events;
    this.#connect();
  }

  /** Settles when the first attempt to connect has succeeded or failed. */
  get attempted(): Promise<void> {
    return this.#firstAttempt.promise;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Statements that are not answered. */
  get load(): number {
    return this.#underWay.size;
  }

  /** Why there is no connection. */
  get lastError(): Error {
    return this.#lastError;
  }

  /** Connections that broke while statements were under way, which the server may still carry out. */
  get left(): readonly ConnectionIdentity[] {
    return this.#left;
  }

  /** They have ended. */
  forgetLeft(): void {
    this.#left.length = 0;
  }

  /** Sends a prepared statement with its parameters. Rejects with the error of MySQL or the connection. */
  execute(sql: string, parameters: readonly Parameter[] = []): Promise<Result> {
    return this.#send((connection, answer) => connection.execute(sql, parameters as Parameter[], answer));
  }

  /** Sends a statement that cannot be prepared, such as BEGIN. */
  query(sql: string): Promise<Result> {
    return this.#send((connection, answer) => connection.query(sql, answer));
  }

  /** Lets the server look at a statement without carrying it out; gives the columns of its result. */
  async prepare(sql: string): Promise<readonly ColumnOfResult[]> {
    let columns: readonly ColumnOfResult[] = [];
    // One that is kept would be given without asking the server.
    this.#connection?.unprepare(sql);
    await this.#send((connection, answer) =>
      connection.prepare(sql, (error, statement) => {
        if (error === null) {
          columns = toColumns((statement as unknown as { columns?: unknown }).columns);
          connection.unprepare(sql);
        }
        answer(error);
      }),
    );
    return columns;
  }

  /** Leaves its place at the server to another connection; it is made again when it may be. */
  giveWay(): void {
    if (this.#connection !== undefined) this.#broken(this.#connection, new Error("it has given way to another one"));
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#drop(new Error("the connection is closed"));
  }

  #send(send: Send): Promise<Result> {
    const connection = this.#connection;
    if (!this.#isReady || connection === undefined) return Promise.reject(this.#lastError);
    return this.#sendOn(connection, send);
  }

  #sendOn(connection: Connection, send: Send): Promise<Result> {
    const { timeout } = this.#options;
    return new Promise((resolve, reject) => {
      const broken = (error: Error): void => {
        clearTimeout(timer);
        reject(error);
      };
      const late = () => this.#broken(connection, new Error(`it did not answer within ${timeout} ms`));
      const timer = setTimeout(late, timeout);
      this.#underWay.add(broken);
      const answer: Answer = (error, result) => {
        clearTimeout(timer);
        if (!this.#underWay.has(broken)) return;
        // The library tells the callback alone when a connection was reset, and no listener.
        if (error !== null && !isServerError(error)) {
          this.#broken(connection, error);
          return;
        }
        this.#underWay.delete(broken);
        if (error === null) resolve(toResult(result));
        else reject(error);
      };
      try {
        send(connection, answer);
      } catch (error) {
        this.#underWay.delete(broken);
        broken(error as Error);
      }
    });
  }

  #connect(): void {
    this.#attempts++;
    let connection: Connection;
    try {
      connection = createConnection(connectionOptions(this.#options));
    } catch (error) {
      this.#failed(error as Error);
      return;
    }
    this.#connection = connection;
    connection.on("error", (error: Error) => this.#broken(connection, error));
    connection.on("end", () => this.#broken(connection, new Error("the connection was ended")));
    connection.connect((error) => {
      if (error !== null) this.#broken(connection, error);
      else void this.#setUp(connection);
    });
  }

  async #setUp(connection: Connection): Promise<void> {
    const ask = (sql: string) => this.#sendOn(connection, (to, answer) => to.query(sql, answer));
    try {
      await ask(sessionSettings(this.#options.timeout));
      const { rows } = await ask("SELECT ID, HOST FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()");
      if (this.#connection !== connection) return;
      const [own] = rows;
      this.#identity = own && { id: Number(own.ID), host: String(own.HOST) };
      this.#isReady = true;
      this.#attempts = 0;
      this.#firstAttempt.resolve();
      this.#events.ready?.();
    } catch (error) {
      this.#broken(connection, error as Error);
    }
  }

  #broken(connection: Connection, error: Error): void {
    if (connection !== this.#connection) return;
    this.#drop(error);
    this.#failed(error);
  }

  #failed(error: Error): void {
    this.#lastError = error;
    this.#firstAttempt.resolve();
    if (this.#isClosed) return;
    this.#events.failed?.(error);
    const delay = Math.min(FIRST_RETRY * 2 ** Math.min(this.#attempts - 1, 10), MAX_RETRY);
    const retry = (): void => {
      if (this.#events.mayRetry?.() ?? true) this.#connect();
      else this.#retry = setTimeout(retry, delay);
    };
    this.#retry = setTimeout(retry, delay);
  }

  /** Lets go of the connection. What is under way fails: its outcome is not known. */
  #drop(error: Error): void {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#isReady = false;
    connection?.removeAllListeners("error").on("error", () => {});
    connection?.destroy();
    if (this.#underWay.size > 0 && this.#identity !== undefined && this.#left.length < MAX_LEFT)
      this.#left.push(this.#identity);
    this.#identity = undefined;
    for (const broken of this.#underWay) broken(error);
    this.#underWay.clear();
  }
}
