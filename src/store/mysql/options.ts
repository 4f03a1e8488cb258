// The options of the MySQL store and their defaults.

import type { Logger } from "../../mqtt/logger.ts";
import type { StoreTlsOptions } from "../tls.ts";
import type { TemplateName } from "./template.ts";

/** What a connection needs to know. */
export type MySqlConnectionOptions = Pick<
  MySqlStoreOptions,
  "host" | "port" | "database" | "username" | "password" | "tls" | "timeout"
>;

export interface MySqlStoreOptions {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly username: string;
  readonly password: string;
  readonly tls?: StoreTlsOptions;
  /** Connections at most. Two are used, with 1 only one: one for writes, one for reads. */
  readonly poolSize: number;
  /** The user's SQL. An empty `select_topics_sql`: topics come from the table of `insert_message_sql`. */
  readonly templates: Readonly<Record<TemplateName, string>>;
  /** Create the tables if they are not there. */
  readonly initDefaultSchema: boolean;
  /** Messages older than this many seconds are removed; 0: never. */
  readonly messageTtl: number;
  /** Messages of a topic that are read at once where `select_message_sql` gives no `id` to page by. */
  readonly maxBacklogPerTopic: number;
  /** At most this many messages share a statement. Default 1,024. */
  readonly batchSize?: number;
  /** Every call settles within this time, in ms. */
  readonly timeout: number;
  readonly logger: Logger;
}

export const DEFAULT_BATCH_SIZE = 1_024;
