// Puts broker, plugin and HTTP API together, and starts and stops them in the right order.

import { Broker } from "../broker/broker.ts";
import type { ListenAddress } from "../broker/listener.ts";
import type { BrokerAddresses } from "../broker/listeners.ts";
import type { BrokerOptions } from "../broker/options.ts";
import { createEngine } from "../engine/engine.ts";
import { ManagementServer } from "../management/management-server.ts";
import type { ManagementOptions } from "../management/options.ts";
import type { Logger } from "../mqtt/logger.ts";
import type { Engine } from "../plugin/engine-module.ts";

export interface EmbeddedBrokerParts {
  readonly brokerOptions: BrokerOptions;
  /** The file that keeps sessions, wills and retained messages; absent: they end with the broker. */
  readonly databasePath?: string;
  /** Of the HTTP API; absent: there is none. */
  readonly management?: ManagementOptions;
  /** Absent: no plugin. */
  readonly plugin?: {
    readonly config: unknown;
    /** Where the plugin's configuration lies in the data directory; its store lies beside it. */
    readonly configPath: string;
  };
  readonly logger: Logger;
}

/** Where everything listens; absent: nowhere. */
export interface EmbeddedBrokerAddresses extends BrokerAddresses {
  /** The HTTP API. */
  readonly http?: ListenAddress;
}

/** The broker with its plugin, if there is one, and the HTTP API. */
export class EmbeddedBroker {
  readonly #broker: Broker;
  readonly #engine: Engine | undefined;
  readonly #management: ManagementServer | undefined;

  constructor({ brokerOptions, databasePath, management, plugin, logger }: EmbeddedBrokerParts) {
    const broker = new Broker({ options: brokerOptions, databasePath, logger });
    this.#broker = broker;
    if (plugin !== undefined) {
      const engine = createEngine({ ...plugin, host: broker.host, logger });
      this.#engine = engine;
      if (engine.hooks !== undefined) broker.setHooks(engine.hooks);
    }
    if (management === undefined) return;
    this.#management = new ManagementServer({ options: management, broker, plugin: this.#engine?.metrics, logger });
  }

  /** Absent: there is no plugin. */
  get engine(): Engine | undefined {
    return this.#engine;
  }

  /** Opens the store and listens. Rejects as `Broker.start` does; then nothing is left running. */
  async start(): Promise<EmbeddedBrokerAddresses> {
    await this.#engine?.start();
    try {
      const addresses = await this.#broker.start();
      return { ...addresses, http: await this.#management?.start() };
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Reads the certificates of the listeners again; see `Broker.reloadCertificates`. */
  reloadCertificates(): Promise<void> {
    return this.#broker.reloadCertificates();
  }

  /** Disconnects the clients, finishes what was begun, and closes the store. */
  async stop(): Promise<void> {
    await this.#broker.stop();
    await this.#engine?.stop();
    await this.#management?.stop();
  }
}
