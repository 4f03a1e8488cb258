// A connection to Redis, whatever the set-up: sends commands in one go and gives the reply to each.
//
// The client library finds the master (sentinel) or the node of each key (cluster), follows slots that move, and connects
// again by itself. What it never does here is to keep commands for later: what cannot be sent or answered fails at once, and
// the store decides what to send again.

import { Cluster, Command, Pipeline, Redis, type RedisOptions } from "ioredis";
import { addressText } from "../../mqtt/address-text.ts";
import { CodedError } from "../../mqtt/coded-error.ts";
import { clientOptions, clusterOptions } from "./client-options.ts";
import type { Argument, Convert, RedisCommand, Reply, Send } from "./command.ts";
import type { Notices } from "./notices.ts";
import type { RedisServer, RedisStoreOptions } from "./options.ts";
import { sentinelConnector } from "./sentinel-connector.ts";
import { SentinelError } from "./sentinel-error.ts";
import { isReplaced, type Sentinels } from "./sentinels.ts";
import { type Tending, tendClient } from "./tend-client.ts";
import { causeOf, UnreachableError } from "./unreachable.ts";

/** When the library has given up, a new attempt to connect begins after this time, in ms. */
const RESTART_DELAY = 500;
/** A cluster is asked again where its slots are while an answer takes longer than this, in ms. */
const LATE_ANSWER = 500;

export interface ConnectionEvents {
  /** At each success to connect. */
  ready(): void;
  /** A connection to a server has ended, or an attempt has failed. */
  broken(): void;
}

interface Helpers {
  readonly notices: Notices;
  /** In mode sentinel. */
  readonly sentinels: Sentinels | undefined;
}

/** Nodes of which it is known why they cannot be reached. A cluster has no more than a thousand. */
const MAX_NODE_ERRORS = 1_000;
/** All that the library says of a command whose connection has ended, whyever that was. */
const CLOSED = /^Connection is closed/;

export class RedisConnection {
  readonly #options: RedisStoreOptions;
  readonly #client: Redis | Cluster;
  #isClosed = false;
  #restart: NodeJS.Timeout | undefined;
  /** Why the last attempt to connect failed. */
  #lastError: Error | undefined;
  /** The nodes of a cluster that cannot be reached, by address, and why. */
  readonly #nodeErrors = new Map<string, Error>();
  /** Redis has answered something. */
  #isAnswered = false;
  /** In mode sentinel, as the sentinels said last. */
  #master: RedisServer | undefined;
  /** The database could not be selected: the library goes on in database 0, where nothing of ours belongs. */
  #isElsewhere = false;
  /** Settles when the first attempt to connect has succeeded or failed. */
  readonly attempted: Promise<void>;

  /** Begins to connect. Throws when a certificate cannot be read. */
  constructor(options: RedisStoreOptions, { notices, sentinels }: Helpers, events: ConnectionEvents) {
    this.#options = options;
    const nodeFailed = (error: Error, address: string) => {
      failed(error);
      if (this.#nodeErrors.size >= MAX_NODE_ERRORS) this.#nodeErrors.clear();
      if (!this.#nodeErrors.has(address) || !CLOSED.test(error.message)) this.#nodeErrors.set(address, error);
    };
    const nodeReady = (node: Redis) => node.on("ready", () => this.#nodeErrors.delete(nodeAddress(node)));
    const copied = (copy: Redis) => nodeReady(copy).on("error", (error) => nodeFailed(error, nodeAddress(copy)));
    const tending: Tending = { timeout: options.timeout, notices, loginKeys: "redis.", copied };
    if (options.mode === "cluster") this.#client = new Cluster([...options.servers], clusterOptions(options));
    else if (sentinels === undefined) this.#client = new Redis(clientOptions(options));
    else this.#client = this.#behindSentinels(clientOptions(options), sentinels);
    const failed = (error: Error & { lastNodeError?: Error; command?: { name: string } }) => {
      const cause = error.lastNodeError ?? error;
      if (this.#lastError === undefined || !CLOSED.test(cause.message)) this.#lastError = cause;
      if (error.command?.name !== "select" || this.#isClosed) return;
      this.#isElsewhere = true;
      this.#restart = setTimeout(() => this.#client.disconnect(true), RESTART_DELAY);
    };
    this.#client.on("connect", () => {
      this.#isElsewhere = false;
    });
    this.#client.on("error", failed);
    this.#client.on("node error", nodeFailed);
    this.#client.on("close", () => {
      this.#lastError ??= new Error("the connection was closed");
      events.broken();
    });
    if (this.#client instanceof Redis) tendClient(this.#client, tending);
    this.#client.on("+node", (node: Redis) => {
      tendClient(node, tending);
      nodeReady(node).on("close", () => events.broken());
    });
    // The library gives up where its own strategies do not lead to another attempt.
    this.#client.on("end", () => {
      if (this.#isClosed) return;
      this.#restart = setTimeout(() => void this.#client.connect().catch(failed), RESTART_DELAY);
    });
    this.attempted = new Promise((resolve) => {
      this.#client.once("ready", resolve);
      this.#client.once("error", resolve);
      this.#client.once("node error", resolve);
    });
    this.#client.on("ready", () => {
      if (this.#isElsewhere) return;
      this.#lastError = undefined;
      events.ready();
    });
  }

  #behindSentinels(options: RedisOptions, sentinels: Sentinels): Redis {
    const found = (master: RedisServer) => {
      this.#master = master;
    };
    const client = new Redis({ ...options, Connector: sentinelConnector(sentinels, options.tls, found) });
    // What the old master has not answered yet is sent to the new one: what it still takes is lost.
    sentinels.onFailover((failover) => {
      if (this.#master === undefined || !isReplaced(this.#master, failover)) return;
      client.stream?.destroy(new Error("the sentinels have made another server the master"));
    });
    return client;
  }

  get isReady(): boolean {
    return this.#client.status === "ready" && !this.#isElsewhere;
  }

  /** Never rejects: each command's reply, or what `convert` makes of it, or the error that came instead. */
  readonly send: Send = async <Result>(commands: readonly RedisCommand[], convert?: Convert<Result>) => {
    const client = this.#client;
    if (!this.isReady) return commands.map(() => this.#notConnected());
    if (client instanceof Cluster) {
      const sent = commands.map(
        (command, at) => client.sendCommand(toCommand(command, at, convert)) as Promise<Result>,
      );
      // A master that hangs answers nothing, its replacement does not tell, and nothing breaks the connection before the call's time is over.
      const late = setInterval(() => client.refreshSlotsCache(), LATE_ANSWER);
      const outcomes = await Promise.allSettled(sent);
      clearInterval(late);
      return outcomes.map((outcome) =>
        outcome.status === "fulfilled" ? this.#answered(outcome.value) : this.#named(outcome.reason),
      );
    }
    return this.#pipeline(client, commands, convert);
  };

  async #pipeline<Result>(
    client: Redis,
    commands: readonly RedisCommand[],
    convert?: Convert<Result>,
  ): Promise<(Result | Error)[]> {
    const pipeline = new Pipeline(client);
    for (let at = 0; at < commands.length; at++) {
      pipeline.sendCommand(toCommand(commands[at] as RedisCommand, at, convert));
    }
    const outcomes = (await pipeline.exec()) ?? [];
    return outcomes.map(([error, reply]) => (error === null ? this.#answered(reply as Result) : this.#named(error)));
  }

  /** Learns where the slots are now. Never rejects: what cannot be learned, the next command tells. */
  async refresh(): Promise<void> {
    const client = this.#client;
    if (client instanceof Cluster) await new Promise<void>((resolve) => client.refreshSlotsCache(() => resolve()));
  }

  /** A way to each master by itself, for what one server cannot answer for all. */
  masters(): Send[] {
    const client = this.#client;
    if (!(client instanceof Cluster)) return [this.send];
    return client.nodes("master").map(
      (node): Send =>
        (commands, convert) =>
          this.#pipeline(node, commands, convert),
    );
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#restart);
    this.#client.disconnect();
  }

  /** A master of a cluster that cannot be reached, if there is one. */
  get nodeError(): Error | undefined {
    if (!(this.#client instanceof Cluster) || this.#nodeErrors.size === 0) return undefined;
    const masters = new Set(this.#client.slots.map((nodes) => nodes[0]));
    for (const [address, error] of this.#nodeErrors) {
      if (error.name === "ReplyError" || !masters.has(address)) continue;
      return this.#unreachable(`The cluster node at ${address}`, error, "start it, or let a replica take over");
    }
    return undefined;
  }

  #answered<Result>(reply: Result): Result {
    this.#isAnswered = true;
    return reply;
  }

  /** What the library says of a connection that broke is less than what it said when it did. */
  #named(error: Error): Error {
    // What `convert` makes of a reply that it cannot read is of ours, and has a code.
    if (error.name !== "ReplyError" && !(error instanceof CodedError)) return this.#notConnected(error);
    return this.#answered(error);
  }

  #notConnected(error?: Error): Error {
    const { servers, sentinel } = this.#options;
    const cause = this.#lastError ?? error;
    if (cause?.name === "ReplyError" || cause instanceof SentinelError) return cause;
    const where = servers.map(addressText).join(", ");
    if (this.#options.mode === "sentinel") {
      const master = `The master ${JSON.stringify(sentinel)}`;
      const advice = "start it, or see why the sentinels do not replace it";
      if (this.#master !== undefined)
        return this.#unreachable(`${master} at ${addressText(this.#master)}`, cause, advice);
      const unknown = new Error(`the sentinels at ${where} have not named it yet`);
      return this.#unreachable(master, cause ?? unknown, "wait, or start the sentinels");
    }
    if (this.isReady && this.nodeError !== undefined) return this.nodeError;
    return this.#unreachable(`Redis at ${where}`, cause, "start it, or correct redis.servers and redis.ssl");
  }

  #unreachable(server: string, error = new Error("not connected yet"), advice: string): UnreachableError {
    const cause = causeOf(error, { tls: this.#options.tls !== undefined, isAnswered: this.#isAnswered });
    return new UnreachableError(server, cause, advice);
  }
}

function nodeAddress({ options }: Redis): string {
  return `${options.host}:${options.port}`;
}

/** In capitals the library leaves the replies as they come: bytes stay bytes. */
function toCommand(command: RedisCommand, at: number, convert: Convert<unknown> | undefined): Command {
  const [name] = command;
  const args = command.slice(1);
  if (convert === undefined) return new Command(name, args, { replyEncoding: null });
  return new ConvertedCommand(name, args, (reply) => convert(reply, at));
}

/**
 * A command whose reply is converted while the library reads it, so that the many small pieces of a long reply are gone
 * before the next one comes.
 */
class ConvertedCommand extends Command {
  readonly #convert: (reply: Reply) => unknown;

  constructor(name: string, args: Argument[], convert: (reply: Reply) => unknown) {
    super(name, args, { replyEncoding: null });
    this.#convert = convert;
  }

  /** The library's type does not know of results that are no replies; it hands on whatever comes back. */
  override transformReply(reply: never): never {
    return this.#convert(reply) as never;
  }
}
