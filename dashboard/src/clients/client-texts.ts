// What a client is called by in tables: its protocol, and since when it is as it is.

import type { Client } from "../api/clients.ts";

const VERSIONS: Readonly<Record<number, string>> = { 3: "3.1", 4: "3.1.1", 5: "5.0" };

/** Undefined after a restart of the broker. */
export function protocolOf({ proto_ver }: Client): string | undefined {
  return proto_ver === undefined ? undefined : `MQTT ${VERSIONS[proto_ver] ?? proto_ver}`;
}

export function addressOf({ ip_address, port }: Client): string | undefined {
  if (ip_address === undefined) return undefined;
  const host = ip_address.includes(":") ? `[${ip_address}]` : ip_address;
  return port === undefined ? host : `${host}:${port}`;
}

/** In ms since the epoch; undefined: not known. */
export function sinceOf({ connected, connected_at, disconnected_at }: Client): number | undefined {
  const time = connected ? connected_at : disconnected_at;
  return time === undefined ? undefined : Date.parse(time);
}
