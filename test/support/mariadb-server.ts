// mariadbd processes of tests: Debian's own, each with data of its own, ended with the test and with its process.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { CertificateFiles } from "./certificates.ts";
import { type Child, startChild } from "./child.ts";
import { lastingPort } from "./free-port.ts";
import { MariadbClient, type MariadbClientOptions, type MariadbClientTls } from "./mariadb-client.ts";
import { ADMINISTRATOR, commonArguments, makeDataDirectory, mariadbd } from "./mariadb-installation.ts";
import { pauseProcess, stateOf } from "./pause.ts";
import { inReverse, type Scope, temporaryDirectory } from "./temporary-directory.ts";

export { ADMINISTRATOR, mariadbMissing } from "./mariadb-installation.ts";

export const MARIADB_HOST = "127.0.0.1";

/** How long a server may take to be ready, and to shut down, in ms. */
const START_TIMEOUT = 30_000;
const READY = /ready for connections/;
/** How often another port is tried when somebody has taken the one chosen. */
const PORT_TRIES = 5;

/** System variables by name, as the command line takes them (`sql_mode`, `max_connections`, `read_only` …). */
export type MariadbDirectives = Readonly<Record<string, string | number>>;

export interface MariadbServerOptions {
  readonly directives?: MariadbDirectives;
  /** The machine's time zone (TZ), such as `America/New_York`; a fixed one is the directive `default_time_zone`. */
  readonly timeZone?: string;
  /** It takes connections with TLS only. */
  readonly tls?: MariadbServerTls;
}

export interface MariadbServerTls extends CertificateFiles {
  readonly cacertfile: string;
  /** How the administrator connects. */
  readonly client: MariadbClientTls;
}

/** What all servers have in common: what is committed is on disk, and nothing takes room or time that tests do not need. */
const COMMON: MariadbDirectives = {
  bind_address: MARIADB_HOST,
  // In the data directory: the path of a socket may have 107 characters.
  socket: "socket",
  skip_name_resolve: 1,
  innodb_flush_log_at_trx_commit: 1,
  // Debian's own defaults.
  character_set_server: "utf8mb4",
  collation_server: "utf8mb4_general_ci",
  performance_schema: 0,
  innodb_temp_data_file_path: "ibtmp1:3M:autoextend",
  innodb_autoextend_increment: 1,
  innodb_buffer_pool_load_at_startup: 0,
  key_buffer_size: "1M",
  aria_pagecache_buffer_size: "1M",
  table_open_cache: 256,
};

type Login = Partial<Omit<MariadbClientOptions, "host" | "port">>;

/** A mariadbd that can be ended and started again on the same port and data. */
export class MariadbServer {
  readonly port: number;
  /** Where its data is. */
  readonly directory: string;
  readonly #scope: Scope;
  readonly #options: MariadbServerOptions;
  #child: Child;

  private constructor(scope: Scope, options: MariadbServerOptions, directory: string, port: number, child: Child) {
    this.#scope = scope;
    this.#options = options;
    this.directory = directory;
    this.port = port;
    this.#child = child;
  }

  /** Starts it and waits until it is ready. */
  static async start(scope: Scope, options: MariadbServerOptions = {}): Promise<MariadbServer> {
    const inner = inReverse(scope);
    const directory = join(temporaryDirectory(inner), "data");
    await makeDataDirectory(directory);
    mkdirSync(temporaryFiles(directory));
    for (let tries = 1; ; tries++) {
      const port = await lastingPort();
      const child = run(inner, options, directory, port, {});
      try {
        await child.output(READY, START_TIMEOUT);
        return new MariadbServer(inner, options, directory, port, child);
      } catch (error) {
        await child.stop("SIGKILL");
        const isTaken = /Address already in use/.test(child.stderr);
        if (!isTaken || tries === PORT_TRIES) throw error;
      }
    }
  }

  /** Where its temporary tables are. */
  get temporaryFiles(): string {
    return temporaryFiles(this.directory);
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
    return this.#child.stderr;
  }

  /** A connection of its own for a test, closed after it; the administrator's, unless a login says otherwise. */
  async connect(login: Login = {}): Promise<MariadbClient> {
    const client = await this.#connect(login);
    this.#scope.after(() => client.close());
    return client;
  }

  /** Does something with a connection that is closed afterwards. */
  async with<T>(work: (client: MariadbClient) => Promise<T>, login: Login = {}): Promise<T> {
    const client = await this.#connect(login);
    try {
      return await work(client);
    } finally {
      client.close();
    }
  }

  /** Ends it at once, as a crash does (SIGKILL). */
  async kill(): Promise<void> {
    await this.#child.stop("SIGKILL");
  }

  /** Shuts it down in order (SIGTERM). */
  async stop(): Promise<void> {
    await this.#child.stop("SIGTERM", START_TIMEOUT);
  }

  /** Starts it again after its end, on the same port and data; these directives come on top of its own, until the next end. */
  async restart(directives: MariadbDirectives = {}): Promise<void> {
    this.#child = run(this.#scope, this.#options, this.directory, this.port, directives);
    await this.#child.output(READY, START_TIMEOUT);
  }

  /** Makes it hang (SIGSTOP), as a machine does that swaps or whose network is gone. */
  pause(): void {
    pauseProcess(this.pid);
  }

  continue(): void {
    this.#child.process.kill("SIGCONT");
  }

  async #connect(login: Login): Promise<MariadbClient> {
    const { tls } = this.#options;
    const options = { host: MARIADB_HOST, port: this.port, tls: tls?.client, ...ADMINISTRATOR, ...login };
    try {
      return await MariadbClient.connect(options);
    } catch (error) {
      // One that has crashed has written why.
      if (!this.isRunning && error instanceof Error) {
        error.message += `; mariadbd has ended, with this log:\n${this.log}`;
      }
      throw error;
    }
  }
}

function run(
  scope: Scope,
  { directives, timeZone, tls }: MariadbServerOptions,
  directory: string,
  port: number,
  more: MariadbDirectives,
): Child {
  const tool = mariadbd();
  const all: MariadbDirectives = { ...COMMON, port, ...tlsDirectives(tls), ...directives, ...more };
  const variables = Object.entries(all).map(([name, value]) => `--${name}=${value}`);
  const places = [`--datadir=${directory}`, `--tmpdir=${temporaryFiles(directory)}`];
  const args = [...commonArguments(), ...places, ...variables];
  const env = timeZone === undefined ? tool.env : { ...tool.env, TZ: timeZone };
  // It dies with the test's process, however that ends.
  return startChild(scope, "setpriv", ["--pdeathsig", "KILL", "--", tool.path, ...args], { env, cwd: directory });
}

/** Of one server alone: each removes at its start what it finds there, also what another one is using. */
function temporaryFiles(directory: string): string {
  return `${directory}.tmp`;
}

function tlsDirectives(tls: MariadbServerTls | undefined): MariadbDirectives {
  if (tls === undefined) return {};
  return { ssl_cert: tls.certfile, ssl_key: tls.keyfile, ssl_ca: tls.cacertfile, require_secure_transport: 1 };
}
