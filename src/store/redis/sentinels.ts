// Knows the master: asks all sentinels at once, believes the latest decision among their answers, and listens to them for the next one.
//
// Sentinels learn of a failover one after the other, up to two seconds apart. One that has not heard of it yet names the old
// master, which takes writes that are lost if it works or wakes up. Every decision has a number (the configuration epoch), so
// the answer with the highest one is right, and a late answer with a higher one takes the word of an earlier answer back.

import { setTimeout as wait } from "node:timers/promises";
import { Redis, type RedisOptions } from "ioredis";
import { addressText } from "../../mqtt/address-text.ts";
import { retryDelay, sentinelOptions } from "./client-options.ts";
import type { Notices } from "./notices.ts";
import type { RedisServer, RedisStoreOptions } from "./options.ts";
import { SentinelError, sentinelProblem } from "./sentinel-error.ts";
import { connectBound, type Tending, tendClient } from "./tend-client.ts";

/** How long the others are waited for once one has answered, in ms. */
const GRACE = 200;
/** Sentinels that others tell of are asked too, up to this number in all. */
const MAX_KNOWN = 16;
/** Where sentinels tell of a failover: the master's name, its old and its new address. */
const CHANNEL = "+switch-master";

/** A failover: the master is no longer this server, or is this one and no other. */
export type Failover = { readonly from: RedisServer } | { readonly to: RedisServer };

interface Answer {
  readonly master: RedisServer;
  readonly epoch: number;
}

export class Sentinels {
  readonly #name: string;
  readonly #where: string;
  readonly #clientOptions: RedisOptions;
  readonly #bound: number;
  readonly #tending: Tending;
  readonly #known = new Map<string, RedisServer>();
  readonly #clients = new Set<Redis>();
  readonly #listeners: ((failover: Failover) => void)[] = [];
  /** The last answer that was believed. */
  #believed: Answer | undefined;
  #isClosed = false;

  /** Begins to listen. Throws when a certificate cannot be read. */
  constructor(options: RedisStoreOptions, notices: Notices) {
    this.#name = options.sentinel ?? "";
    this.#clientOptions = sentinelOptions(options);
    this.#bound = connectBound(options.timeout);
    this.#tending = { timeout: options.timeout, notices, loginKeys: "redis.sentinel_" };
    for (const server of options.servers) this.#known.set(addressText(server), server);
    this.#where = [...this.#known.keys()].join(", ");
    for (const server of this.#known.values()) this.#listenTo(server, notices);
  }

  /** Calls this at each failover that is heard of. */
  onFailover(listener: (failover: Failover) => void): void {
    this.#listeners.push(listener);
  }

  /** Where the master is now. Rejects with `SentinelError` when no sentinel says so in time. */
  async master(): Promise<RedisServer> {
    const answers: Answer[] = [];
    const errors: Error[] = [];
    const first = Promise.withResolvers<void>();
    let isOver = false;
    const asked = [...this.#known.values()].map(async (server) => {
      try {
        const answer = await this.#ask(server);
        if (isOver) this.#consider(answer);
        else answers.push(answer);
        first.resolve();
      } catch (error) {
        errors.push(error as Error);
      }
    });
    const stop = new AbortController();
    const late = first.promise.then(() => wait(GRACE, undefined, { signal: stop.signal })).catch(() => {});
    await Promise.race([Promise.all(asked), late]);
    stop.abort();
    isOver = true;
    const latest = answers.reduce<Answer | undefined>(
      (a, b) => (a === undefined || b.epoch > a.epoch ? b : a),
      undefined,
    );
    if (latest === undefined) {
      const way = { tls: this.#clientOptions.tls !== undefined, isAnswered: this.#believed !== undefined };
      throw sentinelProblem(errors, this.#where, way);
    }
    this.#believed = latest;
    return latest.master;
  }

  close(): void {
    this.#isClosed = true;
    for (const client of this.#clients) client.disconnect();
    this.#listeners.length = 0;
  }

  async #ask(server: RedisServer): Promise<Answer> {
    const client = this.#client(server, { lazyConnect: true, retryStrategy: () => null, commandTimeout: this.#bound });
    let cause: Error | undefined;
    client.on("error", (error) => {
      cause ??= error;
    });
    try {
      return await this.#query(client);
    } catch (error) {
      // That a connection is closed says less than why.
      throw error instanceof SentinelError ? error : (cause ?? error);
    } finally {
      client.disconnect();
      this.#clients.delete(client);
    }
  }

  /** Sends all at once, and nothing when it is called, so that what follows is answered in the same moment. */
  async #query(client: Redis): Promise<Answer> {
    const about = (what: string) => client.call("SENTINEL", what, this.#name);
    const [address, master, others] = await Promise.all([
      about("GET-MASTER-ADDR-BY-NAME"),
      about("MASTER").catch(() => []),
      about("SENTINELS").catch(() => []),
    ]);
    if (!Array.isArray(address)) {
      throw new SentinelError(
        "refused",
        `The sentinels know no master ${JSON.stringify(this.#name)}: correct redis.sentinel.`,
      );
    }
    for (const other of Array.isArray(others) ? others : []) this.#learn(fieldsOf(other));
    const epoch = Number(fieldsOf(master).get("config-epoch") ?? 0);
    return { master: { host: String(address[0]), port: Number(address[1]) }, epoch };
  }

  /** A sentinel that another one knows. */
  #learn(fields: ReadonlyMap<string, string>): void {
    const server = { host: fields.get("ip") ?? "", port: Number(fields.get("port")) };
    if (server.host === "" || /disconnected|down/.test(fields.get("flags") ?? "")) return;
    if (this.#known.size < MAX_KNOWN) this.#known.set(addressText(server), server);
  }

  #listenTo(server: RedisServer, notices: Notices): void {
    const lost = `the sentinel at ${addressText(server)} cannot be listened to: without it, a failover may be heard of later`;
    const client = this.#client(server, { retryStrategy: retryDelay, autoResubscribe: false });
    // Why is told by `master`, if no other sentinel answers.
    client.on("error", () => {});
    client.on("message", (_channel: string, text: string) => {
      const [name, host = "", port] = text.split(" ");
      if (name === this.#name) this.#tell({ from: { host, port: Number(port) } });
    });
    client.on("ready", () => {
      // The sentinel answers both in one moment: no failover falls between them.
      Promise.all([this.#query(client), client.subscribe(CHANNEL)]).then(
        ([answer]) => {
          notices.forget(lost);
          this.#consider(answer);
        },
        (error: Error) => {
          // That it does not know the master is told by `master`.
          if (!this.#isClosed && !(error instanceof SentinelError)) notices.warn(lost);
        },
      );
    });
    client.on("close", () => !this.#isClosed && notices.warn(lost));
  }

  #client(server: RedisServer, options: RedisOptions): Redis {
    const client = new Redis({ ...this.#clientOptions, ...server, ...options });
    tendClient(client, this.#tending);
    this.#clients.add(client);
    return client;
  }

  #consider(answer: Answer): void {
    if (this.#believed === undefined || answer.epoch <= this.#believed.epoch) return;
    this.#believed = answer;
    this.#tell({ to: answer.master });
  }

  #tell(failover: Failover): void {
    if (this.#isClosed) return;
    for (const listener of this.#listeners) listener(failover);
  }
}

/** Whether this master is none any more. */
export function isReplaced(master: RedisServer, failover: Failover): boolean {
  return "from" in failover
    ? addressText(master) === addressText(failover.from)
    : addressText(master) !== addressText(failover.to);
}

/** Names and values, as Redis lists them one after the other. */
function fieldsOf(flat: unknown): ReadonlyMap<string, string> {
  const list = Array.isArray(flat) ? flat.map(String) : [];
  return new Map(list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1] ?? ""] as const] : [])));
}
