// The broker's configuration, omp.hocon: its keys, by EMQX's names where EMQX has them, and what they mean to the broker.

import { isIPv6 } from "node:net";
import { type BrokerOptions, defaultOptions, limits } from "../broker/options.ts";
import {
  type ConfigProblem,
  choice,
  type Field,
  field,
  flag,
  keyPaths,
  readConfig,
  section,
  type ValueOf,
} from "../plugin/config-schema.ts";
import { parseDuration, parseSize, writeDuration } from "./units.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export const LOG_FORMATS = ["text", "json"] as const;

/** Where a listener binds. */
export interface BindAddress {
  readonly host: string;
  readonly port: number;
}

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

const BIND = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/;

/** `127.0.0.1:1883` or `[::1]:1883`. */
export function parseBind(value: unknown): BindAddress | undefined {
  const [, ipv6, host = ipv6, port] = (typeof value === "string" && BIND.exec(value)) || [];
  if (host === undefined || (ipv6 !== undefined && !isIPv6(ipv6)) || Number(port) > limits.port.max) return undefined;
  return { host, port: Number(port) };
}

const schema = section({
  listeners: section({
    tcp: section({
      default: section({
        bind: field<BindAddress>(
          { host: defaultOptions.host, port: defaultOptions.port },
          'an address and a port such as "127.0.0.1:1883"',
          parseBind,
        ),
        max_connections: number("maxConnections"),
      }),
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
  allow_anonymous: flag(false),
  log: section({ level: oneOf(LOG_LEVELS, "info"), format: oneOf(LOG_FORMATS, "text") }),
});

export type OmpConfig = ValueOf<typeof schema>;

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
  return problems.length > 0 ? { problems } : { config };
}

/** What the configuration means to the broker. */
export function brokerOptions({ listeners, mqtt, retainer }: OmpConfig): BrokerOptions {
  const listener = listeners.tcp.default;
  return {
    host: listener.bind.host,
    port: listener.bind.port,
    maxConnections: listener.max_connections,
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
    idleTimeout: mqtt.idle_timeout,
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
  };
}
