// redis-server processes of tests: Debian's own, each in a directory of its own, ended with the test and with its process.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CertificateFiles } from "./certificates.ts";
import { type Child, startChild } from "./child.ts";
import { debianTool } from "./debian-tool.ts";
import { lastingPort } from "./free-port.ts";
import { pauseProcess, stateOf } from "./pause.ts";
import { RedisClient, type RedisClientOptions } from "./redis-client.ts";
import type { Scope } from "./temporary-directory.ts";
import { waitFor } from "./wait-for.ts";

const redis = await debianTool(["redis-server"], "redis-server");

/** Why there is no redis-server; undefined: there is one. Give it to a test's `skip`. */
export const redisMissing: string | undefined = redis.missing;
if (redisMissing !== undefined) console.error(`REDIS IS NOT TESTED: ${redisMissing}`);

export const REDIS_HOST = "127.0.0.1";

/** How long a server may take to be ready, in ms. */
const START_TIMEOUT = 20_000;
/** What a server, and what a sentinel writes when it is ready. */
const READY = /Ready to accept connections|\+monitor master/;
/** How often another port is tried when somebody has taken the one chosen. */
const PORT_TRIES = 5;

/** Names and values as redis.conf has them; a list is a directive that comes more than once. */
export type RedisDirectives = Readonly<Record<string, string | number | readonly string[]>>;

export interface RedisServerOptions {
  /** Its own; made when it is missing. */
  readonly directory: string;
  /** A sentinel knows none of the directives that all servers have in common. */
  readonly kind?: "server" | "sentinel";
  readonly directives?: RedisDirectives;
  /** Where it listens; absent: a free port. */
  readonly port?: number;
  /** How tests log in to it, besides host and port. */
  readonly client?: Pick<RedisClientOptions, "username" | "password" | "tls">;
  /** It speaks TLS only, and asks clients for a certificate. */
  readonly tls?: RedisServerTls;
}

export interface RedisServerTls extends CertificateFiles {
  readonly cacertfile: string;
}

/** What all servers have in common: every write is on disk before it is answered, and nothing is done that only delays. */
const COMMON: RedisDirectives = {
  save: '""',
  appendonly: "yes",
  appendfsync: "always",
  "repl-diskless-sync": "yes",
  "repl-diskless-sync-delay": 0,
  "repl-ping-replica-period": 1,
};

/** A redis-server that can be ended and started again on the same port and data. */
export class RedisServer {
  readonly port: number;
  readonly #scope: Scope;
  readonly #options: RedisServerOptions;
  #child: Child;

  private constructor(scope: Scope, options: RedisServerOptions, port: number, child: Child) {
    this.#scope = scope;
    this.#options = options;
    this.port = port;
    this.#child = child;
  }

  /** Starts it and waits until it is ready. */
  static async start(scope: Scope, options: RedisServerOptions): Promise<RedisServer> {
    mkdirSync(options.directory, { recursive: true });
    for (let tries = 1; ; tries++) {
      const port = options.port ?? (await lastingPort());
      writeFileSync(configFile(options), configuration(options, port));
      const child = run(scope, options, []);
      try {
        await child.output(READY, START_TIMEOUT);
        return new RedisServer(scope, options, port, child);
      } catch (error) {
        await child.stop("SIGKILL");
        const isTaken = /Address already in use/.test(child.stdout);
        if (!isTaken || options.port !== undefined || tries === PORT_TRIES) throw error;
      }
    }
  }

  get pid(): number {
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return !this.#child.over;
  }

  /** As in `ps`: R running, S sleeping, T stopped. */
  get state(): string {
    return stateOf(`/proc/${this.pid}`);
  }

  /** What it has written since it was last started. */
  get log(): string {
    return this.#child.stdout;
  }

  /** A connection of its own for a test, closed after it. */
  async connect(options: Partial<RedisClientOptions> = {}): Promise<RedisClient> {
    const client = await RedisClient.connect({ port: this.port, ...this.#options.client, ...options });
    this.#scope.after(() => client.close());
    return client;
  }

  /** Does something with a connection that is closed afterwards. */
  async with<T>(work: (client: RedisClient) => Promise<T>, options: Partial<RedisClientOptions> = {}): Promise<T> {
    const client = await RedisClient.connect({ port: this.port, ...this.#options.client, ...options });
    try {
      return await work(client);
    } finally {
      client.close();
    }
  }

  /** Waits until a section of INFO matches. Sentinels cut the connections of a master that they make a replica. */
  async untilInfo(section: string, pattern: RegExp, timeout = START_TIMEOUT): Promise<void> {
    const matches = (): Promise<boolean> =>
      this.with(async (client) => pattern.test(String(await client.text("INFO", section)))).catch(() => false);
    const what = `${pattern} in INFO ${section} of port ${this.port}`;
    await waitFor(matches, { what, timeout, interval: 20 });
  }

  /** Ends it at once, as a crash does (SIGKILL). */
  async kill(): Promise<void> {
    await this.#child.stop("SIGKILL");
  }

  /** Starts it again after `kill`, on the same port and data; arguments such as `--maxmemory 1mb` change its configuration. */
  async restart(...args: readonly string[]): Promise<void> {
    this.#child = run(this.#scope, this.#options, args);
    await this.#child.output(READY, START_TIMEOUT);
  }

  /** Makes it hang (SIGSTOP), as a machine does that swaps or whose network is gone. */
  pause(): void {
    pauseProcess(this.pid);
  }

  continue(): void {
    this.#child.process.kill("SIGCONT");
  }
}

function configFile({ directory }: RedisServerOptions): string {
  return join(directory, "redis.conf");
}

function configuration({ kind, directory, directives, tls }: RedisServerOptions, port: number): string {
  const listen = tls === undefined ? { port } : { port: 0, "tls-port": port, ...tlsDirectives(tls) };
  const common = kind === "sentinel" ? {} : COMMON;
  const all: RedisDirectives = { bind: REDIS_HOST, ...listen, dir: directory, ...common, ...directives };
  const lines = Object.entries(all).flatMap(([name, values]) =>
    (typeof values === "object" ? values : [values]).map((value) => `${name} ${value}\n`),
  );
  return lines.join("");
}

function tlsDirectives({ certfile, keyfile, cacertfile }: RedisServerTls): RedisDirectives {
  return {
    "tls-cert-file": certfile,
    "tls-key-file": keyfile,
    "tls-ca-cert-file": cacertfile,
    "tls-auth-clients": "yes",
  };
}

function run(scope: Scope, options: RedisServerOptions, args: readonly string[]): Child {
  const { tool } = redis;
  if (tool === undefined) throw new Error(redis.missing);
  const sentinel = options.kind === "sentinel" ? ["--sentinel"] : [];
  // It dies with the test's process, however that ends.
  const line = ["--pdeathsig", "KILL", "--", tool.path, configFile(options), ...sentinel, ...args];
  return startChild(scope, "setpriv", line, { env: tool.env, cwd: options.directory });
}
