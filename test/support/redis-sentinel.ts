// A Redis master with replicas, watched by sentinels that make a replica the master when the master is gone.

import { join } from "node:path";
import type { RedisClient } from "./redis-client.ts";
import { REDIS_HOST, type RedisDirectives, RedisServer, type RedisServerOptions } from "./redis-server.ts";
import type { Scope } from "./temporary-directory.ts";
import { waitFor } from "./wait-for.ts";

export const MASTER_NAME = "mymaster";

const REPLICAS = 2;
const SENTINELS = 3;
/** How long a master may be silent before a sentinel takes it for gone, in ms. */
const DOWN_AFTER = 500;
/** How long a failover may take, in ms; a sentinel waits twice as long before it tries another one. */
const FAILOVER_TIMEOUT = 2_000;
/**
 * How often sentinels look at the servers and tell each other what they see, in ms (by default up to 10 s). In a failover
 * they look at the replicas once a second; meanwhile no replica may pass for one that was not heard of (five ping
 * periods), and no sentinel may set the new master back (four publish periods).
 */
const PERIODS = { "info-period": 100, "ping-period": 300, "ask-period": 100, "publish-period": 500 };

/** How long it may take until all sentinels name another master, in ms. */
const REPLACED_TIMEOUT = 20_000;

export interface SentinelOptions {
  readonly directory: string;
  /** Of the master and the replicas. */
  readonly directives?: RedisDirectives;
  /** The password of the default user of master and replicas, if the directives give it one. */
  readonly password?: string;
  /** The password that the sentinels ask for; absent: none. */
  readonly sentinelPassword?: string;
}

export class RedisSentinels {
  /** The first master and its replicas. */
  readonly servers: readonly RedisServer[];
  readonly sentinels: readonly RedisServer[];

  private constructor(servers: readonly RedisServer[], sentinels: readonly RedisServer[]) {
    this.servers = servers;
    this.sentinels = sentinels;
  }

  /** Starts one master, two replicas and three sentinels, and waits until they all know each other. */
  static async start(
    scope: Scope,
    { directory, directives = {}, password, sentinelPassword }: SentinelOptions,
  ): Promise<RedisSentinels> {
    const server = (name: string, more: RedisDirectives): RedisServerOptions => ({
      directory: join(directory, name),
      directives: {
        ...directives,
        ...(password === undefined ? {} : { masterauth: `"${password}"` }),
        ...more,
      },
      ...(password === undefined ? {} : { client: { password } }),
    });
    const master = await RedisServer.start(scope, server("server-0", {}));
    const replicas = await Promise.all(
      Array.from({ length: REPLICAS }, (_, number) =>
        RedisServer.start(scope, server(`server-${number + 1}`, { replicaof: `${REDIS_HOST} ${master.port}` })),
      ),
    );
    await hasReplicas(master);
    const sentinels = await Promise.all(
      Array.from({ length: SENTINELS }, (_, number) =>
        RedisServer.start(scope, {
          directory: join(directory, `sentinel-${number}`),
          kind: "sentinel",
          ...(sentinelPassword === undefined ? {} : { client: { password: sentinelPassword } }),
          directives: {
            ...(sentinelPassword === undefined ? {} : { requirepass: `"${sentinelPassword}"` }),
            sentinel: [
              `monitor ${MASTER_NAME} ${REDIS_HOST} ${master.port} ${Math.ceil((SENTINELS + 1) / 2)}`,
              `down-after-milliseconds ${MASTER_NAME} ${DOWN_AFTER}`,
              `failover-timeout ${MASTER_NAME} ${FAILOVER_TIMEOUT}`,
              ...(password === undefined ? [] : [`auth-pass ${MASTER_NAME} "${password}"`]),
            ],
          },
        }),
      ),
    );
    const all = new RedisSentinels([master, ...replicas], sentinels);
    await Promise.all(sentinels.map(quicken));
    await all.settled();
    return all;
  }

  /** The server that the sentinels call the master; throws when they do not agree. */
  async master(): Promise<RedisServer> {
    const ports = new Set(await Promise.all(this.sentinels.map(masterPort)));
    const master = this.servers.find(({ port }) => ports.has(port));
    if (ports.size !== 1 || master === undefined) throw new Error(`the sentinels name ${[...ports].join(" and ")}`);
    return master;
  }

  /**
   * Makes a replica the master while the master works, and waits until all servers follow it. On a busy machine a sentinel may have
   * heard of no replica for too long and give up: then it is asked again.
   */
  async failover(): Promise<RedisServer> {
    const old = await this.master();
    const [first] = this.sentinels;
    const master = await waitFor(
      async () => {
        await first?.with((client) => askForFailover(client, old));
        return this.#replacement(old, this.sentinels);
      },
      { what: `another master than port ${old.port}`, timeout: REPLACED_TIMEOUT, interval: 20 },
    );
    await this.settled();
    await hasReplicas(master);
    return master;
  }

  /** Waits until every sentinel, or each of these, names another master than this one; returns it. */
  async replaced(old: RedisServer, asked = this.sentinels, timeout = REPLACED_TIMEOUT): Promise<RedisServer> {
    return waitFor(() => this.#replacement(old, asked), {
      what: `another master than port ${old.port}`,
      timeout,
      interval: 20,
    });
  }

  async #replacement(old: RedisServer, asked: readonly RedisServer[]): Promise<RedisServer | undefined> {
    const ports = new Set(await Promise.all(asked.map(masterPort)));
    return ports.size === 1 ? this.servers.find((server) => server !== old && ports.has(server.port)) : undefined;
  }

  /** Waits until no failover is under way, and every sentinel knows the replicas and the other sentinels. */
  async settled(timeout = 20_000): Promise<void> {
    const isSettled = async (sentinel: RedisServer): Promise<boolean> => {
      const state = await sentinel.with(stateOfMaster);
      return (
        state.flags === "master" &&
        state["num-slaves"] === String(REPLICAS) &&
        state["num-other-sentinels"] === String(SENTINELS - 1)
      );
    };
    await waitFor(async () => (await Promise.all(this.sentinels.map(isSettled))).every(Boolean), {
      what: "sentinels that know each other",
      timeout,
      interval: 20,
    });
  }
}

/** Waits until every replica is in step. */
async function hasReplicas(master: RedisServer): Promise<void> {
  const online = `(slave\\d:.*state=online.*\r\n){${REPLICAS}}`;
  await master.untilInfo("replication", new RegExp(`role:master\r\nconnected_slaves:${REPLICAS}\r\n${online}`));
}

/** Asks a sentinel that knows the old master and works at no failover; one that has no replica in sight is asked again. */
async function askForFailover(client: RedisClient, old: RedisServer): Promise<void> {
  const { port, flags } = await stateOfMaster(client);
  if (port !== String(old.port) || flags !== "master") return;
  await client.command("SENTINEL", "FAILOVER", MASTER_NAME).catch((error: Error) => {
    if (!/^(?:INPROG|NOGOODSLAVE)/.test(error.message)) throw error;
  });
}

/** What a sentinel knows of the master, by Redis' names. */
async function stateOfMaster(client: RedisClient): Promise<Readonly<Record<string, string>>> {
  const flat = (await client.text("SENTINEL", "MASTER", MASTER_NAME)) as string[];
  return Object.fromEntries(flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1] ?? ""]] : [])));
}

async function masterPort(sentinel: RedisServer): Promise<number> {
  const reply = await sentinel.with((client) => client.text("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME));
  return Number((reply as string[])[1]);
}

/** Makes a sentinel look and tell more often than its configuration file can. */
async function quicken(sentinel: RedisServer): Promise<void> {
  const settings = Object.entries(PERIODS).flat();
  await sentinel.with((client) => client.command("SENTINEL", "DEBUG", ...settings));
}
