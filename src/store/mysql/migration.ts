// Changes the tables of EMQX's plugin, with a connection of its own, and says in a sentence what keeps it from doing so.

import { addressText } from "../../mqtt/address-text.ts";
import { MySqlConnection } from "./connection.ts";
import { type MigratedTableName, MigrationError, type MigrationStep, planMigration } from "./migrate.ts";
import type { MySqlConnectionOptions } from "./options.ts";
import { isServerError, problemOf } from "./problem.ts";

/** A table with many rows takes its time. In ms. */
const LONGEST = 7 * 24 * 3_600_000;
/** How long others may hold a table, in seconds. */
const LOCK_WAIT = 10;
/**
 * Values that do not fit would be an error, while times that the server now finds wrong may stay. Nobody should wait for ever
 * behind a statement that itself waits for a table.
 */
const SESSION = `SET SESSION sql_mode = 'STRICT_ALL_TABLES', lock_wait_timeout = ${LOCK_WAIT}`;

const ACCESS_DENIED = new Set([1142, 1143, 1044, 1227]);
const LOCK_TIMEOUT = 1205;

export class Migration {
  readonly #options: MySqlConnectionOptions;
  readonly #connection: MySqlConnection;

  private constructor(options: MySqlConnectionOptions, connection: MySqlConnection) {
    this.#options = options;
    this.#connection = connection;
  }

  /** Rejects with `MigrationError`, as everything here does. */
  static async open(options: MySqlConnectionOptions): Promise<Migration> {
    const connection = new MySqlConnection({ ...options, timeout: LONGEST });
    const migration = new Migration(options, connection);
    const tooLate = Promise.withResolvers<void>();
    const timer = setTimeout(tooLate.resolve, options.timeout);
    try {
      await Promise.race([connection.attempted, tooLate.promise]);
      if (!connection.isReady) throw migration.#told(connection.lastError);
      await connection.query(SESSION);
      return migration;
    } catch (error) {
      connection.close();
      throw error instanceof MigrationError ? error : migration.#told(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What is to be done with a table; undefined: the server shows no such table. */
  async plan(table: MigratedTableName): Promise<MigrationStep | undefined> {
    try {
      return await planMigration((sql, parameters) => this.#connection.execute(sql, parameters), table);
    } catch (error) {
      throw error instanceof MigrationError ? error : this.#told(error);
    }
  }

  async run({ table, statement }: MigrationStep): Promise<void> {
    if (statement === undefined) return;
    try {
      await this.#connection.query(statement);
    } catch (error) {
      throw await this.#refusal(table, error);
    }
  }

  close(): void {
    this.#connection.close();
  }

  async #refusal(table: MigratedTableName, error: unknown): Promise<MigrationError> {
    if (!(error instanceof Error) || !isServerError(error)) return this.#told(error);
    if (error.errno === LOCK_TIMEOUT) {
      const message = `${table} is as it was: somebody has held it for ${LOCK_WAIT} s. Stop what uses it, and run this again.`;
      return new MigrationError(message, { cause: error });
    }
    if (!ACCESS_DENIED.has(error.errno)) {
      return new MigrationError(`${table} is as it was: ${error.sqlMessage}.`, { cause: error });
    }
    const { rows } = await this.#connection.execute("SELECT CURRENT_USER() AS user").catch(() => ({ rows: [] }));
    const [name = this.#options.username, host = "%"] = String(rows[0]?.user ?? "").split(/@(?=[^@]*$)/);
    const grant = `GRANT ALTER, INDEX, CREATE, INSERT ON \`${this.#options.database}\`.${table} TO '${name || this.#options.username}'@'${host}'`;
    const message = `${table} is as it was: the MySQL user lacks a right (${error.sqlMessage}): ${grant}, or use another account.`;
    return new MigrationError(message, { cause: error });
  }

  #told(error: unknown): MigrationError {
    const cause = error instanceof Error ? error : new Error(String(error));
    return new MigrationError(problemOf(cause, addressText(this.#options)).error.message, { cause });
  }
}
