// The connections of the store: one for writes, up to three for reads, and the question whether they work.

import { addressText } from "../../mqtt/address-text.ts";
import { MySqlConnection } from "./connection.ts";
import type { Execute } from "./context.ts";
import { type Layout, lookAround } from "./layout.ts";
import { createTables } from "./operations/create-tables.ts";
import { endConnection } from "./operations/end-connection.ts";
import type { MySqlStoreOptions } from "./options.ts";
import { isServerError, type ServerError } from "./problem.ts";
import type { Templates } from "./templates.ts";

/** Connections for reads at most: a long one must not hold up all the others. */
const MAX_READERS = 3;

export class MySqlServers {
  /** The server as the user named it, for messages. */
  readonly where: string;
  readonly #options: MySqlStoreOptions;
  readonly #templates: Templates;
  readonly #ready: () => void;
  #writer: MySqlConnection | undefined;
  #readers: readonly MySqlConnection[] = [];
  #layout: Layout | undefined;
  #knownLayout: Layout | undefined;
  /** A statement was refused: rights or tables may be others than when they were looked at. */
  #isDoubtful = false;
  #tablesAreThere = false;
  /** How often the writer has connected. */
  #connected = 0;
  /** Saves failed for want of room, or for locks of somebody else: a write that works shows that there is some again. */
  #full: Error | undefined;
  /** When that counts no more, by the monotonic clock in ms. */
  #fullUntil = 0;

  /** `ready` is called when a connection is made, at first and after a break. */
  constructor(options: MySqlStoreOptions, templates: Templates, ready: () => void) {
    this.#options = options;
    this.#templates = templates;
    this.#ready = ready;
    this.where = addressText(options);
  }

  /** What is known of the tables; undefined before the first successful probe of a connection: nothing may be written. */
  get layout(): Layout | undefined {
    return this.#layout;
  }

  /** The same, or what was known before the writer connected again: reads go on meanwhile. */
  get knownLayout(): Layout | undefined {
    return this.#knownLayout;
  }

  /** Begins to connect, and goes on doing so. Settles when the first attempt has succeeded or failed. */
  async open(): Promise<void> {
    const ready = (): void => {
      this.#connected++;
      // The tables may be others by the time when the writer has connected again.
      this.#layout = undefined;
      this.#openReaders();
      this.#ready();
    };
    this.#writer ??= new MySqlConnection(this.#options, { ready, failed: (error) => this.#makeRoom(error) });
    await this.#writer.attempted;
  }

  /**
   * Readers connect while the writer is connected only: the last connection that a server has left is the writer's, and one
   * attempt at a time is enough for a server that does not answer or refuses the password.
   */
  #openReaders(): void {
    if (this.#readers.length > 0) return;
    const mayRetry = () => this.#writer?.isReady ?? false;
    const ready = () => {
      if (mayRetry()) this.#ready();
    };
    const readers = Math.min(MAX_READERS, this.#options.poolSize - 1);
    const connect = () => new MySqlConnection(this.#options, { ready, mayRetry });
    this.#readers = Array.from({ length: readers }, connect);
  }

  /** Where the server has no connection left for the writer, a reader gives way, which may have been quicker to connect. */
  #makeRoom(error: Error): void {
    if (!isServerError(error) || !NO_CONNECTION_LEFT.has(error.errno)) return;
    const [least] = this.#readers.filter(({ isReady }) => isReady).sort((one, other) => one.load - other.load);
    least?.giveWay();
  }

  close(): void {
    for (const connection of [this.#writer, ...this.#readers]) connection?.close();
  }

  readonly write: Execute = (sql, parameters) => {
    const writer = this.#writer;
    if (writer === undefined) return Promise.reject(new Error("not connected yet"));
    return TRANSACTION.has(sql) ? writer.query(sql) : writer.execute(sql, parameters);
  };

  /** On the connection for reads that has the least to do; on the writer's when there is none, as with `max_connections`. */
  readonly read: Execute = (sql, parameters) => {
    const [first, ...others] = this.#readers.filter(({ isReady }) => isReady);
    let chosen = first ?? this.#writer;
    for (const reader of others) if (chosen !== undefined && reader.load < chosen.load) chosen = reader;
    return chosen?.execute(sql, parameters) ?? Promise.reject(new Error("not connected yet"));
  };

  /** Why saves are refused, as far as is known after `lasts` ms without another one; undefined: they work. */
  noteFull(error: Error | undefined, lasts: number): void {
    this.#full = error;
    this.#fullUntil = performance.now() + lasts;
  }

  /** Whether this is why writes are refused. */
  isFull(error: Error): boolean {
    return error === this.#full;
  }

  /** The next probe looks at rights and tables again. */
  doubt(): void {
    this.#isDoubtful = true;
  }

  /** Whether the connections work, the tables are as the templates need them, and writes are taken. Never rejects. */
  async probe(): Promise<Error | undefined> {
    const writer = this.#writer;
    if (writer === undefined) return new Error("not connected yet");
    const readers = this.#readers.filter(({ isReady }) => isReady);
    try {
      const connected = this.#connected;
      for (const connection of [writer, ...readers]) await this.#endLeft(connection);
      if (this.#isDoubtful) await Promise.all([writer, ...readers].map((connection) => this.#use(connection)));
      const layout = await this.#lookAround(writer);
      await Promise.all(readers.map((reader) => this.#look(reader)));
      await this.#tryToRemove(writer, layout);
      // What was found out is of the connection before, whose statements may not have ended.
      if (connected !== this.#connected) return new Error("the connection was made again meanwhile");
      this.#layout = layout;
      this.#knownLayout = layout;
      this.#isDoubtful = false;
      if (performance.now() > this.#fullUntil) this.#full = undefined;
      return this.#full;
    } catch (error) {
      if (isServerError(error as Error) && (error as ServerError).errno === NO_SUCH_TABLE) this.#tablesAreThere = false;
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  /**
   * Removes nothing, but only where removing is allowed. A template that removes otherwise, as with UPDATE, may need neither the
   * right to DELETE nor a table, but maybe a view, that rows can be deleted from.
   */
  async #tryToRemove(writer: MySqlConnection, { messages }: Layout): Promise<void> {
    try {
      await writer.execute(messages === undefined ? "SELECT 1" : `DELETE FROM ${messages.shape.table} WHERE 1 = 0`);
    } catch (error) {
      const isOwn = !this.#templates.defaults.has("delete_message_sql");
      if (!isOwn || !isServerError(error as Error) || !NO_DELETE.has((error as ServerError).errno)) throw error;
    }
  }

  /** One that breaks is no fault of the store: reads go on on another connection. */
  async #look(reader: MySqlConnection): Promise<void> {
    try {
      await reader.execute("SELECT 1");
    } catch (error) {
      if (reader.isReady) throw error;
    }
  }

  async #lookAround(writer: MySqlConnection): Promise<Layout> {
    if (this.#layout !== undefined && !this.#isDoubtful) return this.#layout;
    if (this.#options.initDefaultSchema && !this.#tablesAreThere) await createTables(this.write);
    this.#tablesAreThere = true;
    return lookAround(writer, this.#templates);
  }

  /** Rights to a whole database that were granted since then hold from the next USE on. */
  async #use(connection: MySqlConnection): Promise<void> {
    await connection.query(`USE \`${this.#options.database.replaceAll("`", "``")}\``);
  }

  async #endLeft(connection: MySqlConnection): Promise<void> {
    for (const identity of [...connection.left]) await endConnection(this.write, identity, this.#options.timeout);
    connection.forgetLeft();
  }
}

const NO_SUCH_TABLE = 1146;
/** Of the server, and of the user: none at a time, or at a limit of its account. */
const NO_CONNECTION_LEFT = new Set([1040, 1203, 1226]);
/** The right is missing; a view that cannot be deleted from. */
const NO_DELETE = new Set([1142, 1288, 1395]);

/** These cannot be prepared everywhere. */
const TRANSACTION: ReadonlySet<string> = new Set(["START TRANSACTION", "COMMIT", "ROLLBACK"]);
