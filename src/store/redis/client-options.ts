// The store's options in the words of the client library.

import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import type { ClusterOptions, RedisOptions } from "ioredis";
import type { RedisStoreOptions, RedisTlsOptions } from "./options.ts";
import { connectBound } from "./tend-client.ts";

/** Between two attempts to connect, in ms. */
const FIRST_RETRY = 50;
const MAX_RETRY = 500;
/** How long the last answers on a connection that is being closed are waited for, in ms: what hangs would not end it itself. */
const DISCONNECT_TIMEOUT = 50;
/** How often a cluster is asked where its slots are, in ms, beside when an answer says that one has moved. */
const SLOTS_REFRESH_INTERVAL = 15_000;

function retryDelay(attempt: number): number {
  return Math.min(FIRST_RETRY * 2 ** Math.min(attempt - 1, 10), MAX_RETRY);
}

/** For a single server or sentinels. Throws when a certificate cannot be read. */
export function clientOptions(options: RedisStoreOptions): RedisOptions {
  const { mode, servers, sentinel, database, timeout } = options;
  const tls = options.tls === undefined ? undefined : tlsOptions(options.tls);
  const [server] = servers;
  const common = {
    ...nodeOptions(options, tls),
    db: database,
    retryStrategy: retryDelay,
    enableOfflineQueue: false,
    // A master that has become a replica: ask the sentinels again.
    reconnectOnError: ({ message }: Error) => message.startsWith("READONLY"),
  };
  if (mode !== "sentinel") return { ...common, host: server?.host, port: server?.port };
  return {
    ...common,
    sentinels: [...servers],
    name: sentinel,
    sentinelRetryStrategy: retryDelay,
    // A sentinel tells of a new master at once; until the old one hears of it, it takes writes that will be lost. The one that
    // was asked last is enough, and the others would only break the new connection, one after the other, as they learn of it.
    failoverDetector: true,
    sentinelMaxConnections: 1,
    sentinelReconnectStrategy: () => null,
    sentinelCommandTimeout: connectBound(timeout),
    ...(tls === undefined ? undefined : { sentinelTLS: tls, enableTLSForSentinelMode: true }),
  };
}

/** For a cluster. Throws when a certificate cannot be read. */
export function clusterOptions(options: RedisStoreOptions): ClusterOptions {
  const tls = options.tls === undefined ? undefined : tlsOptions(options.tls);
  return {
    redisOptions: nodeOptions(options, tls),
    clusterRetryStrategy: retryDelay,
    enableOfflineQueue: false,
    slotsRefreshTimeout: connectBound(options.timeout),
    // It asks one node for CLUSTER INFO, which may hang for as long as a call may take. A probe tells more.
    enableReadyCheck: false,
    slotsRefreshInterval: SLOTS_REFRESH_INTERVAL,
    // Certificates are made out to names, which nodes may announce: do not replace them by addresses.
    ...(tls === undefined ? undefined : { dnsLookup: (address, found) => found(null, address) }),
  };
}

function nodeOptions({ username, password, timeout }: RedisStoreOptions, tls: ConnectionOptions | undefined) {
  return {
    ...(username ? { username } : undefined),
    ...(password ? { password } : undefined),
    ...(tls === undefined ? undefined : { tls }),
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

function tlsOptions({ cacertfile, certfile, keyfile, password, verify, serverNameIndication }: RedisTlsOptions) {
  const name = serverNameIndication === "disable" ? undefined : serverNameIndication;
  return {
    ...(cacertfile ? { ca: readFileSync(cacertfile) } : undefined),
    ...(certfile ? { cert: readFileSync(certfile) } : undefined),
    ...(keyfile ? { key: readFileSync(keyfile) } : undefined),
    ...(password ? { passphrase: password } : undefined),
    rejectUnauthorized: verify === "verify_peer",
    ...(name ? { servername: name } : { checkServerIdentity: () => undefined }),
  };
}
