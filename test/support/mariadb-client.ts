// A small MariaDB client for tests, whose session does not depend on the server's defaults.

import { connect } from "node:net";
import mysql, { type Connection, type RowDataPacket } from "mysql2/promise";

export interface MariadbClientOptions {
  readonly host?: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  readonly database?: string;
  readonly tls?: MariadbClientTls;
}

export interface MariadbClientTls {
  readonly ca: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** Asked for, and expected in the certificate; absent: any name will do. */
  readonly servername?: string;
}

export type Value = string | number | Uint8Array | null;
/** A row as the server sent it: times are text, bytes a Buffer, integers beyond 2^53 text. */
export type Row = Readonly<Record<string, string | number | Buffer | null>>;

/** Every statement is committed, no result is cut, and neither SQL mode nor time zone of the server changes what is written. */
const SESSION = `SET SESSION autocommit = 1, sql_mode = 'STRICT_ALL_TABLES', time_zone = '+00:00', sql_safe_updates = 0,
  sql_select_limit = 18446744073709551615`;
const DEFAULT_HOST = "127.0.0.1";

export class MariadbClient {
  readonly #connection: Connection;

  private constructor(connection: Connection) {
    this.#connection = connection;
    // A connection that breaks between two queries is reported by the next one.
    connection.on("error", () => {});
  }

  /** Rejects with an error that has a `code`: the system's, or the server's such as `ER_ACCESS_DENIED_ERROR`. */
  static async connect(options: MariadbClientOptions): Promise<MariadbClient> {
    const { host = DEFAULT_HOST, port, username, password, database, tls } = options;
    const connection = await mysql.createConnection({
      // mysql2 expects the name that it connects to in the certificate.
      host: tls?.servername ?? host,
      stream: () => connect({ host, port, noDelay: true }),
      port,
      user: username,
      password,
      database,
      ...(tls !== undefined && { ssl: sslOf(tls) }),
      charset: "utf8mb4_bin",
      dateStrings: true,
      supportBigNumbers: true,
      multipleStatements: true,
    });
    const client = new MariadbClient(connection);
    await client.query(SESSION);
    return client;
  }

  /** Runs one statement; `?` stands for the values. The rows that it gives; none, where it gives none. */
  async query(sql: string, values: readonly Value[] = []): Promise<Row[]> {
    // Values are sent apart from the statement: nothing has to be quoted.
    const [rows] =
      values.length === 0 ? await this.#connection.query(sql) : await this.#connection.execute(sql, [...values]);
    return Array.isArray(rows) ? (rows as RowDataPacket[]).map((row) => ({ ...row })) : [];
  }

  /** Runs statements that end with semicolons, as a file of an administrator has them. */
  async script(sql: string): Promise<void> {
    await this.#connection.query(sql);
  }

  /** Cuts the connection; the server rolls back what is not committed. */
  close(): void {
    this.#connection.destroy();
  }
}

function sslOf({ ca, cert, key, servername }: MariadbClientTls) {
  return { ca, cert, key, rejectUnauthorized: true, verifyIdentity: servername !== undefined };
}
