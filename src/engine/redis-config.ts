// What the section `redis` of the plugin's configuration means to the store.

import { addressText } from "../mqtt/address-text.ts";
import { type PluginConfig, REDIS_PORT, SENTINEL_PORT } from "../plugin/config.ts";
import { parseServers, type ServerAddress } from "../plugin/server-list.ts";
import type { RedisStoreOptions } from "../store/redis/options.ts";
import { storeTls } from "./store-tls.ts";

/** EMQX's default, which asks for no grouping: the store has a better one. */
const UNGROUPED = 1;

export function redisOptions(config: PluginConfig, configPath: string): Omit<RedisStoreOptions, "logger"> {
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

/** Where the keys are, for the user. */
export function describeRedis(config: PluginConfig): string {
  const { redis_type, sentinel, ssl } = config.redis;
  const database = redisDatabase(config);
  const facts = [
    redis_type === "sentinel" ? `sentinel of ${sentinel}` : redis_type,
    ...(database === 0 ? [] : [`database ${database}`]),
    ...(ssl.enable ? ["TLS"] : []),
  ];
  return `Redis at ${redisServers(config).map(addressText).join(", ")} (${facts.join(", ")})`;
}

/** What the configuration says and nothing follows from. */
export function redisWarnings(config: PluginConfig): string[] {
  const { redis_type, servers, sentinel, database } = config.redis;
  const [first] = redisServers(config);
  const warnings: string[] = [];
  if (redis_type === "cluster" && database !== 0) {
    warnings.push("redis.database has no effect with redis_type = cluster, which has only database 0");
  }
  if (redis_type === "single" && first !== undefined && servers.includes(",")) {
    warnings.push(`redis.servers names several, and with redis_type = single only ${addressText(first)} is used`);
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
