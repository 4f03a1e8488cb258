// What the HTTP server can be told, with defaults.

import type { TlsOptions } from "../broker/options.ts";

/** Where it listens; names follow EMQX's `dashboard.listeners.http` and `https`. */
export interface ManagementListener {
  /** The address that it binds to. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Connections that may be open at a time; more are closed at once. */
  readonly maxConnections: number;
}

export interface ManagementOptions {
  /** Absent: none. */
  readonly http?: ManagementListener | undefined;
  /** Absent: none. */
  readonly https?: (ManagementListener & { readonly tls: TlsOptions }) | undefined;
  /** A request must be complete after so long, in seconds. */
  readonly requestTimeout: number;
  /** Whose pages may use the API besides the server's own, as browsers write origins. */
  readonly origins: readonly string[];
  /** Whether the metrics ask for an account, as all else does. */
  readonly metricsNeedAccount: boolean;
}

const http: ManagementListener = { host: "127.0.0.1", port: 18_083, maxConnections: 512 };

export const defaultManagementOptions = {
  http,
  requestTimeout: 10,
  origins: [],
  metricsNeedAccount: false,
} as const satisfies ManagementOptions;
