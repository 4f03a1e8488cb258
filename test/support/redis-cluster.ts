// A Redis cluster of three masters with a replica each.

import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lastingPort } from "./free-port.ts";
import type { RedisClientOptions } from "./redis-client.ts";
import { REDIS_HOST, type RedisDirectives, RedisServer } from "./redis-server.ts";
import type { Scope } from "./temporary-directory.ts";
import { waitFor } from "./wait-for.ts";

const MASTERS = 3;
const SLOTS = 16_384;
/** How long a node may be silent before the others take it for gone, in ms. */
const NODE_TIMEOUT = 1_000;
/** The file in which a node keeps what it knows of the cluster. */
const NODES_FILE = "nodes.conf";

export interface ClusterOptions {
  readonly directory: string;
  readonly directives?: RedisDirectives;
  /** The password of every node's default user, if the directives give it one. */
  readonly password?: string;
}

interface Node {
  readonly id: string;
  readonly port: number;
  readonly busPort: number;
  /** Of its master; absent: it is one. */
  readonly master?: string;
  readonly slots?: readonly [first: number, last: number];
}

export class RedisCluster {
  /** The masters first, then a replica of each in the same order. */
  readonly servers: readonly RedisServer[];
  readonly #ids: ReadonlyMap<RedisServer, string>;

  private constructor(servers: readonly RedisServer[], nodes: readonly Node[]) {
    this.servers = servers;
    this.#ids = new Map(servers.map((server, at) => [server, nodes[at]?.id ?? ""]));
  }

  /**
   * Starts the nodes and waits until all say that the cluster works. They do not have to be introduced: each finds the
   * whole cluster in its own file, as after a restart.
   */
  static async start(scope: Scope, { directory, directives, password }: ClusterOptions): Promise<RedisCluster> {
    const nodes = await planNodes();
    const client: Pick<RedisClientOptions, "password"> = password === undefined ? {} : { password };
    const servers = await Promise.all(
      nodes.map((node, at) => {
        const own = join(directory, `node-${at}`);
        mkdirSync(own, { recursive: true });
        writeFileSync(join(own, NODES_FILE), nodesFile(nodes, node));
        return RedisServer.start(scope, {
          directory: own,
          port: node.port,
          client,
          directives: {
            "cluster-enabled": "yes",
            "cluster-port": node.busPort,
            "cluster-config-file": NODES_FILE,
            "cluster-node-timeout": NODE_TIMEOUT,
            // A replica takes over however long it was cut off.
            "cluster-replica-validity-factor": 0,
            ...(password === undefined ? {} : { masterauth: `"${password}"` }),
            ...directives,
          },
        });
      }),
    );
    const cluster = new RedisCluster(servers, nodes);
    await cluster.works();
    return cluster;
  }

  /** Waits until all these nodes say that every slot is served, and each replica is in step with its master. */
  async works(servers = this.servers): Promise<void> {
    await Promise.all(servers.map((server) => server.untilInfo("replication", /role:master|master_link_status:up/)));
    await Promise.all(
      servers.map((server) =>
        server.with((client) =>
          waitFor(async () => /cluster_state:ok/.test(String(await client.text("CLUSTER", "INFO"))), {
            what: `a working cluster, seen from port ${server.port}`,
            timeout: 20_000,
            interval: 10,
          }),
        ),
      ),
    );
  }

  /** The nodes that are masters now, as this one sees it. */
  async masters(seenFrom = this.servers.find((server) => server.isRunning)): Promise<RedisServer[]> {
    const nodes = String(await seenFrom?.with((client) => client.text("CLUSTER", "NODES")));
    const ports = new Set([...nodes.matchAll(/:(\d+)@\S+ (?:myself,)?master - /g)].map(([, port]) => Number(port)));
    return this.servers.filter(({ port }) => ports.has(port));
  }

  /** The master that serves this key's slot. */
  async masterOf(key: string, seenFrom?: RedisServer): Promise<RedisServer> {
    const slot = await this.slotOf(key);
    for (const master of await this.masters(seenFrom)) {
      const shards = await master.with((client) => client.text("CLUSTER", "SLOTS"));
      for (const [first, last, [, port]] of shards as [number, number, [string, number]][]) {
        if (slot >= first && slot <= last && port === master.port) return master;
      }
    }
    throw new Error(`no master serves slot ${slot}`);
  }

  /** Kills a master, and waits until a replica has taken over and all is served again. */
  async killAndReplace(master: RedisServer, timeout = 20_000): Promise<void> {
    const rest = this.servers.filter((server) => server !== master);
    await master.kill();
    await waitFor(
      async () => {
        const views = await Promise.all(rest.map((server) => this.masters(server)));
        return views.every((masters) => masters.length === MASTERS && !masters.includes(master));
      },
      { what: `another master than port ${master.port}`, timeout, interval: 20 },
    );
    await this.works(rest);
  }

  async slotOf(key: string, askedOf = this.servers.find((server) => server.isRunning)): Promise<number> {
    const slot = await askedOf?.with((client) => client.command("CLUSTER", "KEYSLOT", key));
    return Number(slot);
  }

  /** A slot begins to move: until `endMove`, keys that are not at its old master are asked for at the new one (ASK). */
  async beginMove(slot: number, from: RedisServer, to: RedisServer): Promise<void> {
    await to.with((client) => client.command("CLUSTER", "SETSLOT", slot, "IMPORTING", this.#id(from)));
    await from.with((client) => client.command("CLUSTER", "SETSLOT", slot, "MIGRATING", this.#id(to)));
  }

  /** Moves so many of the slot's keys; returns how many there were to move. */
  async moveKeys(slot: number, from: RedisServer, to: RedisServer, count: number, password?: string): Promise<number> {
    const auth = password === undefined ? [] : ["AUTH", password];
    return from.with(async (client) => {
      const keys = (await client.command("CLUSTER", "GETKEYSINSLOT", slot, count)) as Buffer[];
      if (keys.length > 0) {
        await client.command("MIGRATE", REDIS_HOST, to.port, "", 0, 5_000, ...auth, "KEYS", ...keys);
      }
      return keys.length;
    });
  }

  /** The slot belongs to its new master (MOVED). */
  async endMove(slot: number, to: RedisServer): Promise<void> {
    const masters = await this.masters();
    for (const master of [to, ...masters.filter((each) => each !== to)]) {
      await master.with((client) => client.command("CLUSTER", "SETSLOT", slot, "NODE", this.#id(to)));
    }
  }

  #id(server: RedisServer): string {
    return this.#ids.get(server) ?? "";
  }
}

async function planNodes(): Promise<Node[]> {
  const ports = new Set<number>();
  while (ports.size < MASTERS * 4) ports.add(await lastingPort());
  const all = [...ports];
  const node = (at: number): Pick<Node, "id" | "port" | "busPort"> => ({
    id: randomBytes(20).toString("hex"),
    port: all[2 * at] as number,
    busPort: all[2 * at + 1] as number,
  });
  const share = Math.ceil(SLOTS / MASTERS);
  const masters = Array.from({ length: MASTERS }, (_, at): Node => {
    return { ...node(at), slots: [at * share, Math.min(SLOTS, (at + 1) * share) - 1] };
  });
  return [...masters, ...masters.map(({ id }, at): Node => ({ ...node(MASTERS + at), master: id }))];
}

/** What a node would have written itself, had it been introduced to the others. */
function nodesFile(nodes: readonly Node[], myself: Node): string {
  const epoch = ({ id, master }: Node): number => nodes.findIndex((each) => each.id === (master ?? id)) + 1;
  const lines = nodes.map((node) => {
    const flags = `${node === myself ? "myself," : ""}${node.master === undefined ? "master -" : `slave ${node.master}`}`;
    const slots = node.slots === undefined ? "" : ` ${node.slots.join("-")}`;
    return `${node.id} ${REDIS_HOST}:${node.port}@${node.busPort} ${flags} 0 0 ${epoch(node)} connected${slots}\n`;
  });
  return `${lines.join("")}vars currentEpoch ${MASTERS} lastVoteEpoch 0\n`;
}
