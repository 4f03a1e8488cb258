// Fields that sections of omp.hocon have in common: addresses, certificates, times, origins.

import { isIPv4, isIPv6 } from "node:net";
import { defaultOptions, limits, type TlsOptions } from "../broker/options.ts";
import { choice, type Field, field, flag, section, text, type ValueOf } from "../plugin/config-schema.ts";
import { parseDuration, writeDuration } from "./units.ts";

/** Where a listener binds. */
export interface BindAddress {
  readonly host: string;
  readonly port: number;
}

const BIND = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/;

/** `127.0.0.1:1883` or `[::1]:1883`. */
export function parseBind(value: unknown): BindAddress | undefined {
  const [, ipv6, host = ipv6, port] = (typeof value === "string" && BIND.exec(value)) || [];
  if (host === undefined || (ipv6 !== undefined && !isIPv6(ipv6)) || Number(port) > limits.port.max) return undefined;
  return { host, port: Number(port) };
}

export function bind(port: number): Field<BindAddress> {
  const { host } = defaultOptions;
  return field<BindAddress>({ host, port }, `an address and a port such as "${host}:${port}"`, parseBind);
}

/** As in EMQX, 0 switches it off. */
export function bindOrOff(defaultValue: BindAddress | 0, port: number): Field<BindAddress | 0> {
  const expected = `an address and a port such as "${defaultOptions.host}:${port}", or 0 for none`;
  return field<BindAddress | 0>(defaultValue, expected, (value) => (value === 0 ? 0 : parseBind(value)));
}

/** A time in seconds, with these limits. */
export function span(
  defaultValue: number,
  { min, max }: { readonly min: number; readonly max: number },
): Field<number> {
  const range = `a duration from ${writeDuration(min)} to ${writeDuration(max)}`;
  return field(
    defaultValue,
    `${range}, with a unit, such as ${JSON.stringify(writeDuration(defaultValue))}`,
    (value) => {
      const seconds = parseDuration(value);
      return seconds !== undefined && seconds >= min && seconds <= max ? seconds : undefined;
    },
  );
}

export const sslOptions = section({
  certfile: text(""),
  keyfile: text(""),
  password: text(""),
  cacertfile: text(""),
  verify: choice("verify_none", "verify_peer"),
  fail_if_no_peer_cert: flag(false),
});

export type SslOptions = ValueOf<typeof sslOptions>;

/** What they mean to a listener. */
export function tlsOptions(options: SslOptions): TlsOptions {
  const { certfile, keyfile, password, cacertfile, verify, fail_if_no_peer_cert: failIfNoPeerCert } = options;
  return { certfile, keyfile, password, cacertfile, verify, failIfNoPeerCert };
}

/** As browsers write them; undefined when one is no origin. */
export function parseOrigins(value: unknown): readonly string[] | undefined {
  if (typeof value !== "string") return undefined;
  const given = value.split(",").map((origin) => origin.trim().toLowerCase());
  const origins = given.filter((origin) => origin !== "");
  return origins.every((origin) => URL.parse(origin)?.origin === origin) ? origins : undefined;
}

/** 127.0.0.0/8 (RFC 1122) and ::1. */
export function isLoopback({ host }: BindAddress): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}
