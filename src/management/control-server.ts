// The control socket: the plugin endpoints for `omp plugins`, for whoever owns the data directory, without an API key.

import { chmod, rm } from "node:fs/promises";
import type { FastifyInstance } from "fastify";
import type { Logger } from "../mqtt/logger.ts";
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
  readonly plugins: PluginManager;
  readonly allowed: AllowedPackages;
  readonly logger: Logger;
}

export class ControlServer {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #app: FastifyInstance;

  constructor({ path, plugins, allowed, logger }: ControlParts) {
    this.#path = path;
    this.#logger = logger;
    this.#app = makeApp(REQUEST_TIMEOUT, logger);
    this.#app.register((app) => pluginRoutes(app, { plugins, allowed, isTrusted: true }));
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
        "omp plugins cannot reach this broker: there is no control socket",
      );
    }
  }

  async stop(): Promise<void> {
    const closed = this.#app.close();
    this.#app.server.closeAllConnections();
    await closed;
  }
}
