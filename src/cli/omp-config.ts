// The broker's configuration, omp.hocon: its keys, by EMQX's names where EMQX has them, and what they mean to the broker.

import {
  type BrokerOptions,
  defaultOptions,
  limits,
  MAX_KEEP_ALIVE,
  type WebSocketListenerOptions,
} from "../broker/options.ts";
import { isUtf8EncodedString } from "../mqtt/codec/utf8.ts";
import {
  type ConfigProblem,
  choice,
  type Field,
  field,
  flag,
  keyPaths,
  readConfig,
  section,
  text,
  type ValueOf,
} from "../plugin/config-schema.ts";
import { bind, parseOrigins, type SslOptions, sslOptions, tlsOptions } from "./config-fields.ts";
import { dashboard, prometheus } from "./dashboard-config.ts";
import { parseDuration, parseSize, writeDuration } from "./units.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export const LOG_FORMATS = ["text", "json"] as const;

type NumericOption = keyof typeof limits;

function number(option: NumericOption): Field<number> {
  return broker(option, limits[option].fraction ? "a number" : "a whole number", (value) =>
    typeof value === "number" ? value : undefined,
  );
}

function size(option: NumericOption): Field<number> {
  return broker(option, 'a size in bytes, or with a unit such as "1MB",', parseSize);
}

function duration(option: NumericOption): Field<number> {
  const { min, max } = limits[option];
  const range = `a duration from ${writeDuration(min)} to ${writeDuration(max)}`;
  const example = JSON.stringify(writeDuration(defaultOptions[option]));
  return limited(option, `${range}, with a unit, such as ${example}`, parseDuration);
}

function broker(option: NumericOption, kind: string, parse: (value: unknown) => number | undefined): Field<number> {
  const { min, max } = limits[option];
  return limited(option, `${kind} from ${min} to ${max}`, parse);
}

/** A number that the broker limits. */
function limited(
  option: NumericOption,
  expected: string,
  parse: (value: unknown) => number | undefined,
): Field<number> {
  const { min, max, fraction } = limits[option];
  return field(defaultOptions[option], expected, (value) => {
    const parsed = parse(value);
    const isRightKind = parsed !== undefined && (fraction || Number.isInteger(parsed));
    return isRightKind && parsed >= min && parsed <= max ? parsed : undefined;
  });
}

function oneOf<T extends string>(values: readonly T[], defaultValue: T): Field<T> {
  return choice<T>(defaultValue, ...values.filter((value) => value !== defaultValue));
}

/** The smallest and the largest `max_frame_size`, in bytes. */
const FRAME_SIZES = { min: 1024, max: limits.maxPacketSize.max };

const websocket = section({
  mqtt_path: field("/mqtt", 'a path such as "/mqtt"', (value) =>
    typeof value === "string" && /^\/[^?#\s]*$/.test(value) ? value : undefined,
  ),
  max_frame_size: field(4 * 1024 * 1024, 'a size such as "4MB", from 1KB to 256MB', (value) => {
    const bytes = parseSize(value);
    return Number.isInteger(bytes) && Number(bytes) >= FRAME_SIZES.min && Number(bytes) <= FRAME_SIZES.max
      ? bytes
      : undefined;
  }),
  check_origin_enable: flag(true),
  check_origins: field<readonly string[]>(
    [],
    'origins with commas between them, such as "https://example.org, http://10.0.0.5:8080"',
    parseOrigins,
  ),
});

function isKeepAlive(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_KEEP_ALIVE;
}

const schema = section({
  listeners: section({
    tcp: section({
      default: section({
        enable: flag(true),
        bind: bind(defaultOptions.port),
        max_connections: number("maxConnections"),
      }),
    }),
    ssl: section({ default: section({ enable: flag(false), bind: bind(8883), ssl_options: sslOptions }) }),
    ws: section({ default: section({ enable: flag(true), bind: bind(8083), websocket }) }),
    wss: section({
      default: section({ enable: flag(false), bind: bind(8084), ssl_options: sslOptions, websocket }),
    }),
  }),
  mqtt: section({
    max_packet_size: size("maxPacketSize"),
    max_inflight: number("maxInflight"),
    max_mqueue_len: number("maxMqueueLen"),
    max_mqueue_bytes: size("maxMqueueBytes"),
    receive_maximum: number("receiveMaximum"),
    max_unanswered_bytes: size("maxUnansweredBytes"),
    max_sessions: number("maxSessions"),
    session_expiry_interval: duration("sessionExpiryInterval"),
    max_session_expiry_interval: duration("maxSessionExpiryInterval"),
    keepalive_multiplier: number("keepaliveMultiplier"),
    server_keepalive: field<number | "disabled">(
      defaultOptions.serverKeepalive,
      `"disabled" or a whole number of seconds from 0 to ${MAX_KEEP_ALIVE}`,
      (value) => (value === "disabled" || isKeepAlive(value) ? value : undefined),
    ),
    response_information: field(
      defaultOptions.responseInformation,
      "text in quotes, of at most 65535 bytes and without U+0000",
      (value) => (typeof value === "string" && isUtf8EncodedString(value) ? value : undefined),
    ),
    idle_timeout: duration("idleTimeout"),
    max_clientid_len: number("maxClientidLen"),
    max_topic_levels: number("maxTopicLevels"),
    max_topic_alias: number("maxTopicAlias"),
    max_topic_alias_bytes: size("maxTopicAliasBytes"),
    max_subscriptions: number("maxSubscriptions"),
    max_subscribe_filters: number("maxSubscribeFilters"),
    max_write_buffer: size("maxWriteBuffer"),
    max_write_backlog: size("maxWriteBacklog"),
  }),
  retainer: section({
    max_retained_messages: number("maxRetainedMessages"),
    max_retained_bytes: size("maxRetainedBytes"),
  }),
  durable_sessions: section({ enable: flag(true), save_timeout: duration("saveTimeout") }),
  sys_topics: section({ sys_msg_interval: duration("sysInterval") }),
  dashboard,
  prometheus,
  api_key: section({ bootstrap_file: text("") }),
  allow_anonymous: flag(false),
  log: section({ level: oneOf(LOG_LEVELS, "info"), format: oneOf(LOG_FORMATS, "text") }),
});

export type OmpConfig = ValueOf<typeof schema>;
export type ListenersConfig = OmpConfig["listeners"];
export type ListenerType = keyof ListenersConfig;

/** In the order in which they are started. */
export const LISTENER_TYPES = ["tcp", "ssl", "ws", "wss"] as const satisfies readonly ListenerType[];

export const defaultOmpConfig: OmpConfig = schema.default;

/** Every key, with dots. */
export const ompConfigKeys: readonly string[] = keyPaths(schema);

/** Reads the content of omp.hocon. All keys are optional. Reports all problems at once. */
export function parseOmpConfig(value: unknown): { config: OmpConfig } | { problems: readonly ConfigProblem[] } {
  const { config, problems } = readConfig(schema, value);
  const { max_write_buffer, max_write_backlog } = config.mqtt;
  if (max_write_backlog < max_write_buffer) {
    const path = ["mqtt", "max_write_backlog"];
    problems.push({ path, message: "mqtt.max_write_backlog must not be lower than mqtt.max_write_buffer" });
  }
  for (const type of ["ssl", "wss"] as const) {
    const { enable, ssl_options } = config.listeners[type].default;
    if (enable) problems.push(...tlsProblems(["listeners", type, "default"], "enable", ssl_options));
  }
  const { bind, ssl_options } = config.dashboard.listeners.https;
  if (bind !== 0) problems.push(...tlsProblems(["dashboard", "listeners", "https"], "bind", ssl_options));
  return problems.length > 0 ? { problems } : { config };
}

/** `section`: of the listener; `enabledBy`: the key by which it is on. */
function tlsProblems(section: readonly string[], enabledBy: string, options: SslOptions): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const report = (path: readonly string[], message: string): void => {
    problems.push({ path, message: `${path.join(".")} ${message}` });
  };
  for (const file of ["certfile", "keyfile"] as const) {
    if (options[file] !== "") continue;
    const is = enabledBy === "enable" ? "is true" : "is set";
    report([...section, enabledBy], `${is}, and ssl_options.${file} is missing: name a file in PEM`);
  }
  const { verify, cacertfile, fail_if_no_peer_cert } = options;
  if (verify === "verify_peer" && cacertfile === "") {
    report([...section, "ssl_options", "verify"], "is verify_peer, and cacertfile is missing: name a file in PEM");
  }
  if (verify === "verify_none" && fail_if_no_peer_cert) {
    const message = "has no effect without verify = verify_peer: set both, or neither";
    report([...section, "ssl_options", "fail_if_no_peer_cert"], message);
  }
  return problems;
}

/** What the configuration means to the broker. */
export function brokerOptions({ listeners, mqtt, retainer, durable_sessions, sys_topics }: OmpConfig): BrokerOptions {
  const { tcp, ssl, ws, wss } = listeners;
  return {
    tcp: tcp.default.enable,
    host: tcp.default.bind.host,
    port: tcp.default.bind.port,
    ssl: ssl.default.enable ? { ...ssl.default.bind, tls: tlsOptions(ssl.default.ssl_options) } : undefined,
    ws: ws.default.enable ? { ...ws.default.bind, ...webSocketOptions(ws.default) } : undefined,
    wss: wss.default.enable
      ? { ...wss.default.bind, tls: tlsOptions(wss.default.ssl_options), ...webSocketOptions(wss.default) }
      : undefined,
    maxConnections: tcp.default.max_connections,
    maxPacketSize: mqtt.max_packet_size,
    maxInflight: mqtt.max_inflight,
    maxMqueueLen: mqtt.max_mqueue_len,
    maxMqueueBytes: mqtt.max_mqueue_bytes,
    receiveMaximum: mqtt.receive_maximum,
    maxUnansweredBytes: mqtt.max_unanswered_bytes,
    maxSessions: mqtt.max_sessions,
    sessionExpiryInterval: mqtt.session_expiry_interval,
    maxSessionExpiryInterval: mqtt.max_session_expiry_interval,
    keepaliveMultiplier: mqtt.keepalive_multiplier,
    serverKeepalive: mqtt.server_keepalive,
    responseInformation: mqtt.response_information,
    idleTimeout: mqtt.idle_timeout,
    saveTimeout: durable_sessions.save_timeout,
    maxClientidLen: mqtt.max_clientid_len,
    maxTopicLevels: mqtt.max_topic_levels,
    maxTopicAlias: mqtt.max_topic_alias,
    maxTopicAliasBytes: mqtt.max_topic_alias_bytes,
    maxSubscriptions: mqtt.max_subscriptions,
    maxSubscribeFilters: mqtt.max_subscribe_filters,
    maxRetainedMessages: retainer.max_retained_messages,
    maxRetainedBytes: retainer.max_retained_bytes,
    maxWriteBuffer: mqtt.max_write_buffer,
    maxWriteBacklog: mqtt.max_write_backlog,
    sysInterval: sys_topics.sys_msg_interval,
  };
}

function webSocketOptions({
  websocket,
}: ListenersConfig["ws"]["default"] | ListenersConfig["wss"]["default"]): Pick<WebSocketListenerOptions, "websocket"> {
  const { mqtt_path, max_frame_size, check_origin_enable, check_origins } = websocket;
  return {
    websocket: {
      mqttPath: mqtt_path,
      maxFrameSize: max_frame_size,
      checkOriginEnable: check_origin_enable,
      checkOrigins: check_origins,
    },
  };
}
