// Stores with SQL templates of the user, each on a database of its own, and the rows that they leave.

import { DEFAULT_TEMPLATES } from "../../src/store/mysql/default-templates.ts";
import type { MySqlStoreOptions } from "../../src/store/mysql/options.ts";
import type { TemplateName } from "../../src/store/mysql/template.ts";
import { createDatabase, type DatabaseOptions } from "../support/mariadb.ts";
import type { Row } from "../support/mariadb-client.ts";
import type { MariadbServer } from "../support/mariadb-server.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { type StartedStore, startStore } from "./mysql-stores.ts";
import { ORIGINAL_SCHEMA } from "./original/schema.ts";
import { silentLogger } from "./sample-messages.ts";

/** A table of messages whose columns all have names of their own. */
export const MYMSG = `
CREATE TABLE mymsg (
  n BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, uid VARCHAR(64), t VARCHAR(180) NOT NULL, who VARCHAR(64),
  q TINYINT, r TINYINT, body BLOB, at DATETIME(3), note VARCHAR(20) DEFAULT 'ours', INDEX (t)
) ENGINE=InnoDB;`;

/** All columns of it, with aliases. */
export const MYMSG_TEMPLATES = {
  insert_message_sql:
    "INSERT INTO mymsg(uid, t, who, q, r, body, at) VALUES (${id}, ${topic}, ${from}, ${qos}, ${flags.retain}, ${payload}, FROM_UNIXTIME(${timestamp}/1000))",
  select_message_sql:
    "SELECT n AS id, uid AS msgid, t AS topic, who AS sender, q AS qos, r AS retain, body AS payload, at AS arrived FROM mymsg WHERE t = ${topic}",
  delete_message_sql: "DELETE FROM mymsg WHERE uid = ${id}",
} as const;

export interface CustomStore extends StartedStore {
  readonly warnings: readonly string[];
  sql(statement: string): Promise<Row[]>;
}

export type CustomOptions = DatabaseOptions & { readonly store?: Partial<MySqlStoreOptions> };

/** `tables` are there besides those of EMQX's plugin. */
export async function startCustom(
  scope: Scope,
  server: MariadbServer,
  tables: string,
  templates: Partial<Record<TemplateName, string>>,
  { store: options, ...database }: CustomOptions = {},
): Promise<CustomStore> {
  const setup = await createDatabase(server, { schema: ORIGINAL_SCHEMA + tables, ...database });
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (_: object, text: string) => warnings.push(text) };
  const started = await startStore(scope, setup.place, {
    logger,
    templates: { ...DEFAULT_TEMPLATES, ...templates },
    ...options,
  });
  return { ...started, warnings, sql: (statement) => setup.with((client) => client.query(statement)) };
}

/** The first value of the first row. */
export async function firstValue({ sql }: CustomStore, statement: string): Promise<unknown> {
  return Object.values((await sql(statement))[0] ?? {})[0];
}
