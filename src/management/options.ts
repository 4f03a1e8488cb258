// What the HTTP server can be told, with defaults.

import type { ApiKey } from "./api-keys.ts";

/** Names follow EMQX's `dashboard.listeners.http`. */
export interface ManagementOptions {
  /** The address that it binds to. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Connections that may be open at a time; more are closed at once. */
  readonly maxConnections: number;
  /** A request must be complete after so long, in seconds. */
  readonly requestTimeout: number;
  /** Who may ask for more than the metrics. */
  readonly apiKeys: readonly ApiKey[];
}

export const defaultManagementOptions: ManagementOptions = {
  host: "127.0.0.1",
  port: 18_083,
  maxConnections: 512,
  requestTimeout: 10,
  apiKeys: [],
};
