// The MariaDB set-ups that tests run against, each with a real server, and how a store gets to its tables.

import { readFileSync } from "node:fs";
import { ORIGINAL_SCHEMA } from "../store/original/schema.ts";
import { certificatesMissing, makeAuthority, makeCertificate } from "./certificates.ts";
import type { MariadbClient, MariadbClientOptions } from "./mariadb-client.ts";
import { MARIADB_HOST, MariadbServer, type MariadbServerOptions, mariadbMissing } from "./mariadb-server.ts";
import { inReverse, type Scope, temporaryDirectory } from "./temporary-directory.ts";

/** What the store's user may do with the tables. */
export const STORE_RIGHTS = "SELECT, INSERT, UPDATE, DELETE";
export const STORE_PASSWORD = "store-password";
/** The only name in the certificate of servers with TLS. */
const TLS_NAME = "mariadb.example";

/** Files in PEM. */
export interface MariadbTls {
  readonly cacertfile: string;
  readonly certfile: string;
  readonly keyfile: string;
  readonly verify: "verify_peer" | "verify_none";
  readonly serverNameIndication?: string;
}

/** The options that say where the tables are. */
export interface MariadbPlace {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly username: string;
  readonly password: string;
  readonly tls?: MariadbTls;
}

export interface MariadbSetup {
  readonly server: MariadbServer;
  readonly place: MariadbPlace;
  /** Does something as the administrator, in the database of the place. */
  with<T>(work: (client: MariadbClient) => Promise<T>): Promise<T>;
  /** Removes every row of every table that there is now; ids go on rising. */
  flush(): Promise<void>;
}

export interface DatabaseOptions {
  /** Its name; absent: one that no other database of this process has. */
  readonly database?: string;
  readonly characterSet?: string;
  /** What the administrator runs in it; absent: the schema of EMQX' plugin; empty: there are no tables. */
  readonly schema?: string;
  /** What the user may do with each table that the schema made; absent: `STORE_RIGHTS`; empty: nothing. */
  readonly tableRights?: string;
  /** What the user may do with the whole database, such as `CREATE`; absent: nothing. */
  readonly databaseRights?: string;
  /** The user connects with these, and not without a certificate. */
  readonly tls?: MariadbTls;
}

export type SetupOptions = Omit<MariadbServerOptions, "tls"> & Omit<DatabaseOptions, "tls">;

/** Each set-up by what is special about it. */
export const mariadbSetups = {
  plain: startPlain,
  TLS: startTls,
} as const satisfies Readonly<Record<string, (scope: Scope) => Promise<MariadbSetup>>>;

/** Why a set-up cannot be tested; false: it can. For a test's `skip`. */
export function mariadbSkip(name: keyof typeof mariadbSetups): string | false {
  return mariadbMissing ?? (name === "TLS" ? certificatesMissing : undefined) ?? false;
}

/** A server with one database. */
export async function startPlain(scope: Scope, options: SetupOptions = {}): Promise<MariadbSetup> {
  return createDatabase(await MariadbServer.start(scope, options), options);
}

/** A server that speaks TLS only, has a certificate for another name than its address, and wants one of the store's user. */
export async function startTls(scope: Scope, options: SetupOptions = {}): Promise<MariadbSetup> {
  const inner = inReverse(scope);
  const directory = temporaryDirectory(inner);
  const authority = await makeAuthority(directory, "authority");
  const [own, client] = await Promise.all([
    makeCertificate(directory, "server", authority, `DNS:${TLS_NAME}`),
    makeCertificate(directory, "client", authority),
  ]);
  const cacertfile = authority.certfile;
  const server = await MariadbServer.start(inner, {
    ...options,
    tls: { ...own, cacertfile, client: { ca: readFileSync(cacertfile), servername: TLS_NAME } },
  });
  const tls = { cacertfile, ...client, verify: "verify_peer", serverNameIndication: TLS_NAME } as const;
  return createDatabase(server, { ...options, tls });
}

let databases = 0;

/** A database with tables and a user of its own, on a server that may have others. */
export async function createDatabase(server: MariadbServer, options: DatabaseOptions = {}): Promise<MariadbSetup> {
  const number = ++databases;
  const { database = `mqtt${number}`, characterSet = "utf8mb4", schema = ORIGINAL_SCHEMA, tls } = options;
  const { tableRights = STORE_RIGHTS, databaseRights = "" } = options;
  const username = `omp${number}`;
  const user = `'${username}'@'%'`;
  await server.with(async (client) => {
    await client.query(`CREATE DATABASE ${quoted(database)} CHARACTER SET ${characterSet}`);
    await client.query(`USE ${quoted(database)}`);
    if (schema !== "") await client.script(schema);
    const certificate = tls === undefined ? "" : " REQUIRE X509";
    await client.query(`CREATE USER ${user} IDENTIFIED BY '${STORE_PASSWORD}'${certificate}`);
    const grants =
      tableRights === "" ? [] : (await tablesOf(client)).map((table) => `${tableRights} ON ${quoted(table)}`);
    if (databaseRights !== "") grants.push(`${databaseRights} ON ${quoted(database)}.*`);
    for (const grant of grants) await client.query(`GRANT ${grant} TO ${user}`);
  });
  const withClient = <T>(work: (client: MariadbClient) => Promise<T>): Promise<T> => server.with(work, { database });
  return {
    server,
    place: { host: MARIADB_HOST, port: server.port, database, username, password: STORE_PASSWORD, tls },
    with: withClient,
    flush: () =>
      withClient(async (client) => {
        for (const table of await tablesOf(client)) await client.query(`DELETE FROM ${quoted(table)}`);
      }),
  };
}

/** How a test's own client connects as the store does. */
export function loginOf({ host, port, database, username, password, tls }: MariadbPlace): MariadbClientOptions {
  const files = tls && {
    ca: readFileSync(tls.cacertfile),
    cert: readFileSync(tls.certfile),
    key: readFileSync(tls.keyfile),
    servername: tls.serverNameIndication,
  };
  return { host, port, database, username, password, tls: files };
}

/** The plugin's configuration for such a place; `rest` are further lines of the `mysql` section. */
export function mysqlConfiguration(place: MariadbPlace, rest = ""): string {
  const { host, port, database, username, password, tls } = place;
  const quoted = (name: string, value: string | undefined) =>
    value === undefined ? [] : [`${name} = ${JSON.stringify(value)}`];
  const ssl =
    tls === undefined
      ? []
      : [
          "ssl {",
          "enable = true",
          ...quoted("verify", tls.verify),
          ...quoted("server_name_indication", tls.serverNameIndication),
          ...quoted("cacertfile", tls.cacertfile),
          ...quoted("certfile", tls.certfile),
          ...quoted("keyfile", tls.keyfile),
          "}",
        ];
  const lines = [
    "enable = true",
    'topics = ["#"]',
    ...quoted("server", `${host}:${port}`),
    ...quoted("database", database),
    ...quoted("username", username),
    ...quoted("password", password),
    ...ssl,
    rest,
  ];
  return `mysql {\n${lines.join("\n")}\n}\n`;
}

async function tablesOf(client: MariadbClient): Promise<string[]> {
  const rows = await client.query("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'");
  return rows.map((row) => String(Object.values(row)[0]));
}

function quoted(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}
