// Makes the store that the plugin's configuration enables, and says where it is.

import { dirname, resolve } from "node:path";
import type { Logger } from "../mqtt/logger.ts";
import type { Backend, PluginConfig } from "../plugin/config.ts";
import type { Store } from "../store/store.ts";
import { describeMysql, mysqlOptions } from "./mysql-config.ts";
import { describeRedis, redisOptions, redisWarnings } from "./redis-config.ts";

const STORE_FILE = "messages.db";

export interface StoreParts {
  readonly config: PluginConfig;
  readonly backend: Backend;
  /** Paths in the configuration are seen from the folder of this file. */
  readonly configPath: string;
  readonly logger: Logger;
}

/** Loads the store that is used, and not the clients of the other databases. */
export async function createStore({ config, backend, configPath, logger }: StoreParts): Promise<Store> {
  if (backend !== "sqlite" && config.subscription_ttl > 0) {
    logger.warn(
      {},
      `subscription_ttl has no effect with ${backend}: EMQX's format has no room for when a client was last seen`,
    );
  }
  if (backend === "redis") {
    for (const warning of redisWarnings(config)) logger.warn({}, warning);
    const { RedisStore } = await import("../store/redis/redis-store.ts");
    return new RedisStore({ ...redisOptions(config, configPath), logger });
  }
  if (backend === "mysql") {
    const { MySqlStore } = await import("../store/mysql/mysql-store.ts");
    return new MySqlStore({ ...mysqlOptions(config, configPath), logger });
  }
  const { SqliteStore } = await import("../store/sqlite/sqlite-store.ts");
  return new SqliteStore({ ...sqliteOptions(config, configPath), logger });
}

/** Where messages are kept, for the user. */
export function describeStore(config: PluginConfig, backend: Backend, configPath: string): string {
  if (backend === "redis") return describeRedis(config);
  if (backend === "mysql") return describeMysql(config);
  return `${sqlitePath(config, configPath)} (SQLite)`;
}

/** The database file: `sqlite.path`, seen from the folder of the plugin's configuration. */
export function sqlitePath({ sqlite }: PluginConfig, configPath: string): string {
  return resolve(dirname(configPath), sqlite.path === "" ? STORE_FILE : sqlite.path);
}

function sqliteOptions(config: PluginConfig, configPath: string) {
  const { sqlite, store_timeout } = config;
  return {
    path: sqlitePath(config, configPath),
    messageTtl: sqlite.message_ttl,
    maxMessages: sqlite.max_messages,
    maxBytes: sqlite.max_bytes,
    maxMessagesPerTopic: sqlite.max_messages_per_topic,
    overflow: sqlite.overflow,
    batchSize: sqlite.batch_size,
    maxPageCount: sqlite.max_page_count,
    timeout: store_timeout,
  };
}
