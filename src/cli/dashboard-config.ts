// The sections of omp.hocon about the HTTP API: their keys, by EMQX's names, and what they mean to it.

import { type AccountsOptions, defaultAccountsOptions } from "../management/accounts/options.ts";
import { defaultManagementOptions, type ManagementOptions } from "../management/options.ts";
import { field, flag, integer, section, type ValueOf } from "../plugin/config-schema.ts";
import {
  type BindAddress,
  bindOrOff,
  isLoopback,
  parseOrigins,
  span,
  sslOptions,
  tlsOptions,
} from "./config-fields.ts";

const { http, origins } = defaultManagementOptions;
const { failedLogins, tokenLifetime } = defaultAccountsOptions;
const HTTPS_PORT = 18_084;
const DAY = 86_400;
const YEAR = 365 * DAY;

const max_connections = integer(http.maxConnections, { min: 1, max: 65_535 });

export const dashboard = section({
  listeners: section({
    http: section({ bind: bindOrOff({ host: http.host, port: http.port }, http.port), max_connections }),
    https: section({ bind: bindOrOff(0, HTTPS_PORT), max_connections, ssl_options: sslOptions }),
  }),
  token_expired_time: span(tokenLifetime, { min: 60, max: YEAR }),
  unsuccessful_login_max_attempts: integer(failedLogins.maxAttempts, { min: 1, max: 1000 }),
  unsuccessful_login_lock_duration: span(failedLogins.lockDuration, { min: 1, max: DAY }),
  unsuccessful_login_interval: span(failedLogins.interval, { min: 1, max: DAY }),
  cors: field<readonly string[]>(
    origins,
    'false, or origins with commas between them, such as "https://example.org, http://10.0.0.5:8080"',
    (value) => (value === false ? [] : parseOrigins(value)),
  ),
});

export const prometheus = section({ enable_basic_auth: flag(false) });

export type DashboardConfig = ValueOf<typeof dashboard>;

/** Undefined: there is no HTTP API. Others than this machine's users are always asked for an account. */
export function managementOptions(
  { listeners: { http, https }, cors }: DashboardConfig,
  { enable_basic_auth }: ValueOf<typeof prometheus>,
): ManagementOptions | undefined {
  if (http.bind === 0 && https.bind === 0) return undefined;
  const isForOthers = [http.bind, https.bind].some((bind) => bind !== 0 && !isLoopback(bind));
  return {
    ...defaultManagementOptions,
    http: http.bind === 0 ? undefined : listenerOptions(http.bind, http.max_connections),
    https:
      https.bind === 0
        ? undefined
        : { ...listenerOptions(https.bind, https.max_connections), tls: tlsOptions(https.ssl_options) },
    origins: cors,
    metricsNeedAccount: enable_basic_auth || isForOthers,
  };
}

function listenerOptions({ host, port }: BindAddress, maxConnections: number) {
  return { host, port, maxConnections };
}

export function accountsOptions(config: DashboardConfig): AccountsOptions {
  return {
    failedLogins: {
      maxAttempts: config.unsuccessful_login_max_attempts,
      interval: config.unsuccessful_login_interval,
      lockDuration: config.unsuccessful_login_lock_duration,
    },
    tokenLifetime: config.token_expired_time,
  };
}
