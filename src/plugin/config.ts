// The plugin's configuration: every key, its default, and what it may be. Keys and defaults of `mysql` and `redis` are
// those of EMQX's plugin, so that a configuration taken from there works as it is. docs/configuration.md explains them.

import { validateTopicFilter } from "../mqtt/topic.ts";
import {
  type ConfigProblem,
  choice,
  field,
  flag,
  integer,
  keyPaths,
  line,
  readConfig,
  section,
  text,
  textList,
  type ValueOf,
} from "./config-schema.ts";

import { parseServers } from "./server-list.ts";

export type { ConfigProblem } from "./config-schema.ts";

/** The longest that a call of the store may take, in ms. */
const MAX_STORE_TIMEOUT = 600_000;
/** The most writes in one transaction or round trip. */
const MAX_BATCH_SIZE = 65_536;
/** The most messages of a topic that are read at once where they cannot be read in pages. */
const MAX_BACKLOG_PER_TOPIC = 100_000;
/** The most pages that an SQLite database can have. */
const MAX_PAGES = 4_294_967_294;

/** Where MySQL listens unless it is told otherwise. */
export const MYSQL_PORT = 3306;
/** Where Redis listens unless it is told otherwise, and where its sentinels do. */
export const REDIS_PORT = 6379;
export const SENTINEL_PORT = 26_379;
/** Where an engine listens for EMQX. */
const ENGINE_PORT = 9100;

const topics = textList((filter) => {
  if (filter.startsWith("$share/")) return `${JSON.stringify(filter)} is a shared subscription: write the filter alone`;
  return validateTopicFilter(filter)?.message;
});

const ssl = section({
  enable: flag(false),
  server_name_indication: text("disable"),
  verify: choice("verify_none", "verify_peer"),
  cacertfile: text(""),
  certfile: text(""),
  keyfile: text(""),
});

const mysql = section({
  enable: flag(false),
  server: field("127.0.0.1:3306", 'one server as text such as "10.0.0.5:3306"', (value) =>
    typeof value === "string" && parseServers(value, MYSQL_PORT)?.length === 1 ? value : undefined,
  ),
  database: text("emqx"),
  username: text("emqx"),
  password: text("public"),
  topics,
  pool_size: integer(8, { min: 1, max: 1024 }),
  message_ttl: integer(0, { min: 0, unit: "seconds; 0: never" }),
  max_backlog_per_topic: integer(1000, { min: 1, max: MAX_BACKLOG_PER_TOPIC }),
  batch_size: integer(1, { min: 1, max: MAX_BATCH_SIZE }),
  batch_time: integer(100, { min: 0, max: MAX_STORE_TIMEOUT, unit: "ms" }),
  init_default_schema: flag(false),
  insert_message_sql: text(
    "insert into mqtt_msg(msgid, sender, topic, qos, retain, payload, arrived) " +
      "values(${id}, ${from}, ${topic}, ${qos}, ${flags.retain}, ${payload}, FROM_UNIXTIME(${timestamp}/1000))",
  ),
  delete_message_sql: text("delete from mqtt_msg where msgid = ${id}"),
  select_message_sql: text("select * from mqtt_msg where topic = ${topic}"),
  insert_subscription_sql: text(
    "insert into mqtt_sub(clientid, topic, qos) values(${clientid}, ${topic}, ${qos}) on duplicate key update qos = ${qos}",
  ),
  select_subscriptions_sql: text("select topic, qos from mqtt_sub where clientid = ${clientid}"),
  delete_subscription_sql: text("delete from mqtt_sub where clientid = ${clientid} and topic = ${topic}"),
  select_topics_sql: text(""),
  ssl,
});

const redis = section({
  enable: flag(false),
  redis_type: choice("single", "cluster", "sentinel"),
  servers: field("127.0.0.1:6379", 'text such as "10.0.0.5:6379", several separated by commas', (value) =>
    typeof value === "string" && parseServers(value, REDIS_PORT) !== undefined ? value : undefined,
  ),
  sentinel: text(""),
  sentinel_username: text(""),
  sentinel_password: text(""),
  database: integer(0, { min: 0 }),
  username: text(""),
  password: text(""),
  topics,
  pool_size: integer(8, { min: 1, max: 1024 }),
  message_key_prefix: text("mqtt:msg"),
  subscription_key_prefix: text("mqtt:sub"),
  message_ttl: integer(7200, { min: 0, unit: "seconds; 0: never" }),
  batch_size: integer(1, { min: 1, max: MAX_BATCH_SIZE }),
  batch_time: integer(100, { min: 0, max: MAX_STORE_TIMEOUT, unit: "ms" }),
  ssl,
});

const sqlite = section({
  enable: flag(false),
  path: text(""),
  topics,
  message_ttl: integer(604_800, { min: 0, unit: "seconds; 0: never" }),
  max_messages: integer(0, { min: 0, unit: "0: no limit" }),
  max_bytes: integer(0, { min: 0, unit: "bytes; 0: no limit" }),
  max_messages_per_topic: integer(0, { min: 0, unit: "0: no limit" }),
  overflow: choice("reject", "drop_oldest"),
  batch_size: integer(1024, { min: 1, max: MAX_BATCH_SIZE }),
  max_page_count: integer(0, { min: 0, max: MAX_PAGES, unit: "pages; 0: no limit" }),
});

/** Inside EMQX: where the engine runs. The embedded broker, which is its own engine, ignores it. */
const engine = section({
  mode: choice("spawn", "connect"),
  node: text("node"),
  server: field("127.0.0.1:9100", 'one server as text such as "10.0.0.5:9100"', (value) =>
    typeof value === "string" && parseServers(value, ENGINE_PORT)?.length === 1 ? value : undefined,
  ),
  secret: line(""),
  ssl,
});

const schema = section({
  mysql,
  redis,
  sqlite,
  delivery: choice("one_to_one"),
  on_store_error: choice("reject", "ignore"),
  on_unstorable: choice("close", "acknowledge"),
  qos0_replay: choice("remove", "keep"),
  subscription_ttl: integer(0, { min: 0, unit: "seconds; 0: never" }),
  store_timeout: integer(5000, { min: 1, max: MAX_STORE_TIMEOUT, unit: "ms" }),
  publish_ack: choice("wait", "async"),
  engine,
});

export type PluginConfig = ValueOf<typeof schema>;

/** What is used when the configuration says nothing: no backend is enabled. */
export const defaultPluginConfig: PluginConfig = schema.default;

/** Every key, with dots. */
export const pluginConfigKeys: readonly string[] = keyPaths(schema);

const BACKENDS = ["mysql", "redis", "sqlite"] as const;
export type Backend = (typeof BACKENDS)[number];

/** The backend that is enabled; undefined when the plugin is idle. */
export function enabledBackend(config: PluginConfig): Backend | undefined {
  return BACKENDS.find((backend) => config[backend].enable);
}

/** Reads a configuration, as it comes out of a HOCON or JSON file. All keys are optional. Reports all problems at once. */
export function parsePluginConfig(value: unknown): { config: PluginConfig } | { problems: readonly ConfigProblem[] } {
  const { config, problems } = readConfig(schema, value);
  problems.push(...backendProblems(config));
  return problems.length > 0 ? { problems } : { config };
}

function backendProblems(config: PluginConfig): ConfigProblem[] {
  const enabled = BACKENDS.filter((backend) => config[backend].enable);
  const [first, ...others] = enabled;
  if (others.length > 0) {
    return others.map((backend) => ({
      path: [backend, "enable"],
      message: `${backend}.enable: ${first} is enabled too, and only one backend can be: set enable = false in the others`,
    }));
  }
  return first === "redis" ? redisProblems(config.redis) : [];
}

function redisProblems({
  redis_type,
  sentinel,
  message_key_prefix,
  subscription_key_prefix,
}: PluginConfig["redis"]): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  if (redis_type === "sentinel" && sentinel === "") {
    const message = "redis.sentinel must be the master's name, as the sentinels know it";
    problems.push({ path: ["redis", "sentinel"], message });
  }
  if (message_key_prefix === subscription_key_prefix) {
    const message = "redis.subscription_key_prefix must differ from redis.message_key_prefix, or keys would collide";
    problems.push({ path: ["redis", "subscription_key_prefix"], message });
  }
  return problems;
}
