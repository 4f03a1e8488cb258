// The control socket: plugins, users and API keys for `omp plugins`, `omp admins` and `omp keys`: for whoever owns the data directory.

import { chmod, rm } from "node:fs/promises";
import type { FastifyInstance } from "fastify";
import type { Logger } from "../mqtt/logger.ts";
import type { Accounts } from "./accounts/accounts.ts";
import { apiKeyRoutes } from "./accounts/api-key-routes.ts";
import { ownerUserRoutes } from "./accounts/user-routes.ts";
import { makeApp } from "./app.ts";
import type { AllowedPackages } from "./plugins/allowed-packages.ts";
import type { PluginManager } from "./plugins/plugin-manager.ts";
import { pluginRoutes } from "./plugins/plugin-routes.ts";

/** A change may wait for others, and for a store that is away, in seconds. */
const REQUEST_TIMEOUT = 60;
/** What Linux allows for the path of a socket, in bytes. */
const MAX_PATH_BYTES = 107;
const SOCKET_MODE = 0o600;

export interface ControlParts {
  /** The file that stands for the socket. */
  readonly path: string;
  /** Absent: the broker has no HTTP API, and needs none. */
  readonly accounts?: Accounts | undefined;
  readonly plugins: PluginManager;
  readonly allowed: AllowedPackages;
  readonly logger: Logger;
}

export class ControlServer {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #app: FastifyInstance;

  constructor({ path, accounts, plugins, allowed, logger }: ControlParts) {
    this.#path = path;
    this.#logger = logger;
    this.#app = makeApp(REQUEST_TIMEOUT, logger);
    this.#app.register((app) => pluginRoutes(app, { plugins, allowed, isTrusted: true }));
    if (accounts === undefined) return;
    this.#app.register((app) => ownerUserRoutes(app, accounts, logger));
    this.#app.register((app) => apiKeyRoutes(app, accounts, logger));
  }

  /** A socket that cannot be made is logged: the broker works without. Never rejects. */
  async start(): Promise<void> {
    try {
      if (Buffer.byteLength(this.#path) > MAX_PATH_BYTES) throw new Error("its path is too long for a socket");
      // A killed broker leaves it behind; one that runs holds the data directory.
      await rm(this.#path, { force: true });
      await this.#app.listen({ path: this.#path });
      await chmod(this.#path, SOCKET_MODE);
    } catch (error) {
      this.#logger.warn(
        { err: error, path: this.#path },
        "omp plugins, admins and keys cannot reach this broker: there is no control socket",
      );
    }
  }

  async stop(): Promise<void> {
    const closed = this.#app.close();
    this.#app.server.closeAllConnections();
    await closed;
  }
}
