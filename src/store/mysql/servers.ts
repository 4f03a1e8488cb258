// The connections of the store: one for writes, up to three for reads, and the question whether they work.

import { MySqlConnection } from "./connection.ts";
import type { Execute } from "./context.ts";
import { type Layout, lookAround } from "./layout.ts";
import { createTables } from "./operations/create-tables.ts";
import { endConnection } from "./operations/end-connection.ts";
import type { MySqlStoreOptions } from "./options.ts";
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
  #tablesAreThere = false;
  /** Writes failed for want of room: only a write that works shows that there is some again. */
  #full: Error | undefined;

  /** `ready` is called when a connection is made, at first and after a break. */
  constructor(options: MySqlStoreOptions, templates: Templates, ready: () => void) {
    this.#options = options;
    this.#templates = templates;
    this.#ready = ready;
    this.where = `${options.host.includes(":") ? `[${options.host}]` : options.host}:${options.port}`;
  }

  /** What is known of the tables; undefined before the first successful probe of a connection. */
  get layout(): Layout | undefined {
    return this.#layout;
  }

  /** Begins to connect, and goes on doing so. Settles when the first attempts have succeeded or failed. */
  async open(): Promise<void> {
    const readers = Math.min(MAX_READERS, this.#options.poolSize - 1);
    // The tables may be others by the time when the writer has connected again.
    const connected = () => {
      this.#layout = undefined;
      this.#ready();
    };
    this.#writer ??= new MySqlConnection(this.#options, connected);
    if (this.#readers.length < readers) {
      this.#readers = Array.from({ length: readers }, () => new MySqlConnection(this.#options, this.#ready));
    }
    await Promise.all([this.#writer, ...this.#readers].map(({ attempted }) => attempted));
  }

  close(): void {
    for (const connection of [this.#writer, ...this.#readers]) connection?.close();
  }

  readonly write: Execute = (sql, parameters) => {
    const writer = this.#writer;
    if (writer === undefined) return Promise.reject(new Error("not connected yet"));
    return TRANSACTION.has(sql) ? writer.query(sql) : writer.execute(sql, parameters);
  };

  /** On the connection for reads that has the least to do. */
  readonly read: Execute = (sql, parameters) => {
    const [first, ...others] = this.#readers;
    let chosen = first ?? this.#writer;
    for (const reader of others) if (chosen !== undefined && reader.load < chosen.load) chosen = reader;
    return chosen?.execute(sql, parameters) ?? Promise.reject(new Error("not connected yet"));
  };

  /** Whether writes had room. */
  noteFull(error: Error | undefined): void {
    this.#full = error;
  }

  /** Whether all connections work, the tables are as the templates need them, and writes are taken. Never rejects. */
  async probe(): Promise<Error | undefined> {
    try {
      const writer = this.#writer;
      if (writer === undefined) return new Error("not connected yet");
      await this.#endLeft(writer);
      if (this.#options.initDefaultSchema && !this.#tablesAreThere) await createTables(this.write);
      this.#tablesAreThere = true;
      this.#layout ??= await lookAround(writer, this.#templates);
      await Promise.all(this.#readers.map((reader) => reader.execute("SELECT 1")));
      const table = this.#layout.messages?.shape.table;
      // Removes nothing, but only where removing is allowed.
      await writer.execute(table === undefined ? "SELECT 1" : `DELETE FROM ${table} WHERE 1 = 0`);
      return this.#full;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  async #endLeft(writer: MySqlConnection): Promise<void> {
    for (const identity of [...writer.left]) await endConnection(this.write, identity, this.#options.timeout);
    writer.forgetLeft();
  }
}

/** These cannot be prepared everywhere. */
const TRANSACTION: ReadonlySet<string> = new Set(["START TRANSACTION", "COMMIT", "ROLLBACK"]);
