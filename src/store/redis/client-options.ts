// The store's options in the words of the client library.

import type { ClusterOptions, RedisOptions } from "ioredis";
import { tlsConnectionOptions } from "../tls.ts";
import type { RedisStoreOptions } from "./options.ts";
import { connectBound } from "./tend-client.ts";

/** Between two attempts to connect, in ms. */
const FIRST_RETRY = 50;
const MAX_RETRY = 500;
/** How long the last answers on a connection that is being closed are waited for, in ms: what hangs would not end it itself. */
export const DISCONNECT_TIMEOUT = 50;
/** How long a node of a cluster may take to tell where the slots are, in ms, before another one is asked. */
const SLOTS_TIMEOUT = 1_000;
/** How often a cluster is asked where its slots are, in ms, beside when an answer says that one has moved. */
const SLOTS_REFRESH_INTERVAL = 15_000;

/** How long to wait before another attempt to connect, in ms. */
export function retryDelay(attempt: number): number {
  return Math.min(FIRST_RETRY * 2 ** Math.min(attempt - 1, 10), MAX_RETRY);
}

/** For a single server, or for the master that a connector finds. Throws when a certificate cannot be read. */
export function clientOptions(options: RedisStoreOptions): RedisOptions {
  const [server] = options.servers;
  return {
    ...nodeOptions(options),
    ...(options.mode === "sentinel" ? undefined : server),
    db: options.database,
    retryStrategy: retryDelay,
    enableOfflineQueue: false,
    // A master that has become a replica: ask the sentinels again.
    reconnectOnError: ({ message }: Error) => message.startsWith("READONLY"),
  };
}

/** For a sentinel, without its host and port. Throws when a certificate cannot be read. */
export function sentinelOptions(options: RedisStoreOptions): RedisOptions {
  return nodeOptions({ ...options, username: options.sentinelUsername, password: options.sentinelPassword });
}

/** For a cluster. Throws when a certificate cannot be read. */
export function clusterOptions(options: RedisStoreOptions): ClusterOptions {
  return {
    redisOptions: nodeOptions(options),
    clusterRetryStrategy: retryDelay,
    enableOfflineQueue: false,
    slotsRefreshTimeout: Math.min(options.timeout, SLOTS_TIMEOUT),
    // It asks one node for CLUSTER INFO, which may hang for as long as a call may take. A probe tells more.
    enableReadyCheck: false,
    slotsRefreshInterval: SLOTS_REFRESH_INTERVAL,
    // Certificates are made out to names, which nodes may announce: do not replace them by addresses.
    ...(options.tls === undefined ? undefined : { dnsLookup: (address, found) => found(null, address) }),
  };
}

type NodeOptions = Pick<RedisStoreOptions, "tls" | "timeout"> & {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
};

function nodeOptions({ username, password, tls, timeout }: NodeOptions) {
  return {
    ...(username ? { username } : undefined),
    ...(password ? { password } : undefined),
    ...(tls === undefined ? undefined : { tls: tlsConnectionOptions(tls) }),
    protocol: 2 as const,
    // TCP and TLS handshake together; `tendClient` bounds what comes after.
    connectTimeout: connectBound(timeout),
    disconnectTimeout: DISCONNECT_TIMEOUT,
    // A server that says nothing for so long, while something is asked of it, hangs.
    socketTimeout: timeout,
    // What was under way when a connection broke is for the store to send again.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // Both need rights that the store should not need.
    enableReadyCheck: false,
    disableClientInfo: true,
  };
}
