// Makes the store that the plugin's configuration enables, and says where it is.

import { dirname, resolve } from "node:path";
import type { Logger } from "../mqtt/logger.ts";
import { type Backend, type PluginConfig, REDIS_PORT, SENTINEL_PORT } from "../plugin/config.ts";
import { parseServers, type ServerAddress } from "../plugin/server-list.ts";
import { addressOf, type RedisStoreOptions } from "../store/redis/options.ts";
import { RedisStore } from "../store/redis/redis-store.ts";
import { SqliteStore } from "../store/sqlite/sqlite-store.ts";
import type { Store } from "../store/store.ts";
import type { StoreTlsOptions } from "../store/tls.ts";

const STORE_FILE = "messages.db";
/** EMQX's default, which asks for no grouping: the store has a better one. */
const UNGROUPED = 1;

export interface StoreParts {
  readonly config: PluginConfig;
  readonly backend: Backend;
  /** Paths in the configuration are seen from the folder of this file. */
  readonly configPath: string;
  readonly logger: Logger;
}

export function createStore({ config, backend, configPath, logger }: StoreParts): Store {
  if (backend === "redis") {
    for (const warning of redisWarnings(config)) logger.warn({}, warning);
    return new RedisStore({ ...redisOptions(config, configPath), logger });
  }
  return new SqliteStore({ ...sqliteOptions(config, configPath), logger });
}

/** Where messages are kept, for the user. */
export function describeStore(config: PluginConfig, backend: Backend, configPath: string): string {
  if (backend !== "redis") return `${sqlitePath(config, configPath)} (SQLite)`;
  const { redis_type, sentinel, ssl } = config.redis;
  const database = redisDatabase(config);
  const facts = [
    redis_type === "sentinel" ? `sentinel of ${sentinel}` : redis_type,
    ...(database === 0 ? [] : [`database ${database}`]),
    ...(ssl.enable ? ["TLS"] : []),
  ];
  return `Redis at ${redisServers(config).map(addressOf).join(", ")} (${facts.join(", ")})`;
}

/** TLS to the database server; undefined: none. */
export function storeTls(config: PluginConfig, backend: Backend, configPath: string): StoreTlsOptions | undefined {
  if (backend === "sqlite" || !config[backend].ssl.enable) return undefined;
  const { cacertfile, certfile, keyfile, verify, server_name_indication } = config[backend].ssl;
  const path = (file: string) => (file === "" ? undefined : resolve(dirname(configPath), file));
  return {
    cacertfile: path(cacertfile),
    certfile: path(certfile),
    keyfile: path(keyfile),
    verify,
    serverNameIndication: server_name_indication,
  };
}

/** What the configuration says and nothing follows from. */
function redisWarnings(config: PluginConfig): string[] {
  const { redis_type, servers, sentinel, database } = config.redis;
  const [first] = redisServers(config);
  const warnings: string[] = [];
  if (config.subscription_ttl > 0) {
    warnings.push(
      "subscription_ttl has no effect with redis: EMQX's format has no room for when a client was last seen",
    );
  }
  if (redis_type === "cluster" && database !== 0) {
    warnings.push("redis.database has no effect with redis_type = cluster, which has only database 0");
  }
  if (redis_type === "single" && first !== undefined && servers.includes(",")) {
    warnings.push(`redis.servers names several, and with redis_type = single only ${addressOf(first)} is used`);
  }
  if (redis_type !== "sentinel" && sentinel !== "") {
    warnings.push(`redis.sentinel has no effect with redis_type = ${redis_type}: sentinels need redis_type = sentinel`);
  }
  return warnings;
}

/** Those that are used. */
function redisServers({ redis: { redis_type, servers } }: PluginConfig): ServerAddress[] {
  const all = parseServers(servers, redis_type === "sentinel" ? SENTINEL_PORT : REDIS_PORT) ?? [];
  return redis_type === "single" ? all.slice(0, 1) : all;
}

function redisDatabase({ redis: { redis_type, database } }: PluginConfig): number {
  return redis_type === "cluster" ? 0 : database;
}

/** The database file: `sqlite.path`, seen from the folder of the plugin's configuration. */
function sqlitePath({ sqlite }: PluginConfig, configPath: string): string {
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

function redisOptions(config: PluginConfig, configPath: string): Omit<RedisStoreOptions, "logger"> {
  const { redis, store_timeout } = config;
  const tls = storeTls(config, "redis", configPath);
  return {
    mode: redis.redis_type,
    servers: redisServers(config),
    sentinel: redis.sentinel,
    sentinelUsername: redis.sentinel_username,
    sentinelPassword: redis.sentinel_password,
    username: redis.username,
    password: redis.password,
    database: redisDatabase(config),
    poolSize: redis.pool_size,
    ...(tls === undefined ? undefined : { tls }),
    messageKeyPrefix: redis.message_key_prefix,
    subscriptionKeyPrefix: redis.subscription_key_prefix,
    messageTtl: redis.message_ttl,
    ...(redis.batch_size === UNGROUPED ? undefined : { batchSize: redis.batch_size }),
    timeout: store_timeout,
  };
}
