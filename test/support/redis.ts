// The Redis set-ups that tests run against, each with real servers of its own, and how a store gets to them.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { RedisStoreOptions } from "../../src/store/redis/options.ts";
import { certificatesMissing, makeAuthority, makeCertificate } from "./certificates.ts";
import { RedisCluster } from "./redis-cluster.ts";
import { MASTER_NAME, RedisSentinels } from "./redis-sentinel.ts";
import { REDIS_HOST, RedisServer, redisMissing } from "./redis-server.ts";
import { inReverse, type Scope, temporaryDirectory } from "./temporary-directory.ts";

/** What a user of the store is allowed, as EMQX' plugin asks for it. */
const RIGHTS =
  "~mqtt:sub:* ~mqtt:msg:* -@all +hset +hdel +hgetall +hmset +del +expire +zadd +zrange +zremrangebyscore +zrem";
/** What another database, and what a cluster needs besides (ASKING for a slot that is being moved). */
const DATABASE_RIGHTS = "+select";
const CLUSTER_RIGHTS = "+cluster +readonly +asking";

/** Of the default user, with which the tests look at what is stored. */
export const ADMINISTRATOR_PASSWORD = "administrator password";
/** Of the store's own user, where there is one. */
export const STORE_USER = "omp";
export const STORE_PASSWORD = "store-password";
/** The only name in the certificate of servers with TLS. */
const TLS_NAME = "redis.example";

/** The options that say where Redis is. */
export type RedisPlace = Pick<
  RedisStoreOptions,
  | "mode"
  | "servers"
  | "sentinel"
  | "sentinelUsername"
  | "sentinelPassword"
  | "username"
  | "password"
  | "database"
  | "tls"
>;

export interface RedisSetup {
  readonly place: RedisPlace;
  /** The servers that hold data; the first is a master at first. */
  readonly servers: readonly RedisServer[];
  /** Those that take writes now. */
  masters(): Promise<readonly RedisServer[]>;
  /** Removes every key. */
  flush(): Promise<void>;
}

export interface SentinelSetup extends RedisSetup {
  readonly sentinels: RedisSentinels;
}

export interface ClusterSetup extends RedisSetup {
  readonly cluster: RedisCluster;
}

/** Each set-up by what is special about it. */
export const redisSetups = {
  single: startSingle,
  "single, ACL": startSingleWithRights,
  "single, another database": startOtherDatabase,
  TLS: startTls,
  sentinel: startSentinel,
  cluster: startCluster,
} as const satisfies Readonly<Record<string, (scope: Scope) => Promise<RedisSetup>>>;

/** Why a set-up cannot be tested; false: it can. For a test's `skip`. */
export function redisSkip(name: keyof typeof redisSetups): string | false {
  return redisMissing ?? (name === "TLS" ? certificatesMissing : undefined) ?? false;
}

/** One server that anybody may use. */
export async function startSingle(scope: Scope): Promise<RedisSetup> {
  const inner = inReverse(scope);
  const server = await RedisServer.start(inner, { directory: temporaryDirectory(inner) });
  return single(server, { database: 0 });
}

/** One server with a password, and a user with no more rights than EMQX' plugin asks for. */
export function startSingleWithRights(scope: Scope): Promise<RedisSetup> {
  return startWithUser(scope, 0, RIGHTS);
}

function startOtherDatabase(scope: Scope): Promise<RedisSetup> {
  return startWithUser(scope, 5, `${RIGHTS} ${DATABASE_RIGHTS}`);
}

async function startWithUser(scope: Scope, database: number, rights: string): Promise<RedisSetup> {
  const inner = inReverse(scope);
  const server = await RedisServer.start(inner, {
    directory: temporaryDirectory(inner),
    directives: protectedBy(rights),
    client: { password: ADMINISTRATOR_PASSWORD },
  });
  return single(server, { database, ...STORE_LOGIN });
}

/** One server that speaks TLS only, has a certificate for another name than its address, and asks clients for theirs. */
async function startTls(scope: Scope): Promise<RedisSetup> {
  const inner = inReverse(scope);
  const directory = temporaryDirectory(inner);
  const authority = await makeAuthority(directory, "authority");
  const own = await makeCertificate(directory, "server", authority, `DNS:${TLS_NAME}`);
  const client = await makeCertificate(directory, "client", authority);
  const cacertfile = authority.certfile;
  const server = await RedisServer.start(inner, {
    directory: join(directory, "server-0"),
    tls: { ...own, cacertfile },
    client: {
      tls: {
        ca: readFileSync(cacertfile),
        cert: readFileSync(client.certfile),
        key: readFileSync(client.keyfile),
        servername: TLS_NAME,
      },
    },
  });
  const tls = { cacertfile, ...client, verify: "verify_peer", serverNameIndication: TLS_NAME } as const;
  return single(server, { database: 0, tls });
}

/** One master, two replicas and three sentinels; the store's user has no more rights than EMQX' plugin asks for. */
export async function startSentinel(
  scope: Scope,
  options: { readonly sentinelPassword?: string } = {},
): Promise<SentinelSetup> {
  const inner = inReverse(scope);
  const sentinels = await RedisSentinels.start(inner, {
    directory: temporaryDirectory(inner),
    directives: protectedBy(RIGHTS),
    password: ADMINISTRATOR_PASSWORD,
    ...options,
  });
  const masters = async () => [await sentinels.master()];
  return {
    place: {
      mode: "sentinel",
      servers: sentinels.sentinels.map(addressOf),
      sentinel: MASTER_NAME,
      database: 0,
      ...STORE_LOGIN,
      ...options,
    },
    servers: sentinels.servers,
    masters,
    flush: () => flush(masters),
    sentinels,
  };
}

/** Three masters and three replicas; the store's user may ask about the cluster besides. */
export async function startCluster(scope: Scope): Promise<ClusterSetup> {
  const inner = inReverse(scope);
  const cluster = await RedisCluster.start(inner, {
    directory: temporaryDirectory(inner),
    directives: protectedBy(`${RIGHTS} ${CLUSTER_RIGHTS}`),
    password: ADMINISTRATOR_PASSWORD,
  });
  const masters = () => cluster.masters();
  return {
    // Not all of them: a store finds the others.
    place: { mode: "cluster", servers: cluster.servers.slice(0, 4).map(addressOf), database: 0, ...STORE_LOGIN },
    servers: cluster.servers,
    masters,
    flush: () => flush(masters),
    cluster,
  };
}

const STORE_LOGIN = { username: STORE_USER, password: STORE_PASSWORD };

function protectedBy(rights: string) {
  return { requirepass: `"${ADMINISTRATOR_PASSWORD}"`, user: `${STORE_USER} on >${STORE_PASSWORD} ${rights}` };
}

function single(server: RedisServer, rest: Pick<RedisPlace, "database" | "username" | "password" | "tls">): RedisSetup {
  const masters = async () => [server];
  return {
    place: { mode: "single", servers: [addressOf(server)], ...rest },
    servers: [server],
    masters,
    flush: () => flush(masters),
  };
}

function addressOf({ port }: RedisServer): { host: string; port: number } {
  return { host: REDIS_HOST, port };
}

async function flush(masters: () => Promise<readonly RedisServer[]>): Promise<void> {
  await Promise.all((await masters()).map((server) => server.with((client) => client.command("FLUSHALL"))));
}

/** The plugin's configuration for such a place; `rest` are further lines of the `redis` section. */
export function redisConfiguration(place: RedisPlace, rest = ""): string {
  const { mode, servers, sentinel, sentinelUsername, sentinelPassword, username, password, database, tls } = place;
  const quoted = (name: string, value: string | undefined) => (value === undefined ? [] : [`${name} = "${value}"`]);
  const ssl =
    tls === undefined
      ? []
      : [
          "ssl {",
          "enable = true",
          ...quoted("verify", tls.verify),
          ...quoted("server_name_indication", tls.serverNameIndication),
          ...quoted("cacertfile", tls.cacertfile),
          ...quoted("certfile", tls.certfile),
          ...quoted("keyfile", tls.keyfile),
          "}",
        ];
  const lines = [
    "enable = true",
    'topics = ["#"]',
    `redis_type = ${mode}`,
    ...quoted("servers", servers.map(({ host, port }) => `${host}:${port}`).join(",")),
    ...quoted("sentinel", sentinel),
    ...quoted("sentinel_username", sentinelUsername),
    ...quoted("sentinel_password", sentinelPassword),
    ...quoted("username", username),
    ...quoted("password", password),
    `database = ${database}`,
    ...ssl,
    rest,
  ];
  return `redis {\n${lines.join("\n")}\n}\n`;
}
