// The engine for EMQX as a whole: the link, the host, and the engine that stores.

import type { ListenAddress } from "../mqtt/listen.ts";
import type { Logger } from "../mqtt/logger.ts";
import type { EngineModule } from "../plugin/engine-module.ts";
import { EmqxHost } from "./emqx-host.ts";
import { EngineLife } from "./engine-life.ts";
import { LinkServer, type LinkServerOptions, linkLimits } from "./link-server.ts";

export interface EmqxEngineOptions extends LinkServerOptions {
  readonly module: EngineModule;
  /** Relative paths of configurations begin here, and the SQLite file lies here. */
  readonly dataDirectory: string;
}

export class EmqxEngine {
  readonly life: EngineLife;
  readonly host: EmqxHost;
  readonly server: LinkServer;

  /** Throws `LinkOptionError` for a secret of a wrong length. */
  constructor({ module, dataDirectory, ...options }: EmqxEngineOptions) {
    const logger: Logger = options.logger;
    const life = new EngineLife({ module, host: () => this.host, dataDirectory, logger });
    this.life = life;
    this.host = new EmqxHost({
      logger,
      longestFrame: options.limits?.longestFrame ?? linkLimits.longestFrame,
      configure: (link, frame) => life.configure(link, frame),
    });
    this.server = new LinkServer(options, this.host);
  }

  /** Settles with the address that was bound. Rejects with `LinkOptionError`. */
  listen(): Promise<ListenAddress> {
    return this.server.listen();
  }

  /** Says goodbye to all nodes, and finishes what was begun. */
  async stop(why: string): Promise<void> {
    await this.server.stop(why);
    this.host.stop();
    await this.life.stop();
  }
}
