// Puts broker, plugin and store together, and starts and stops them in the right order.

import { Broker } from "../broker/broker.ts";
import type { ListenAddress } from "../broker/listener.ts";
import type { BrokerAddresses } from "../broker/listeners.ts";
import type { BrokerOptions } from "../broker/options.ts";
import { ManagementServer } from "../management/management-server.ts";
import type { ManagementOptions } from "../management/options.ts";
import type { Logger } from "../mqtt/logger.ts";
import { type Backend, enabledBackend, type PluginConfig } from "../plugin/config.ts";
import { OfflineMessagePlugin } from "../plugin/offline-message-plugin.ts";
import type { PluginOptions } from "../plugin/options.ts";
import type { StoreHealth } from "../store/store.ts";
import { createStore } from "./store.ts";

export interface EngineParts {
  readonly brokerOptions: BrokerOptions;
  /** The file that keeps sessions, wills and retained messages; absent: they end with the broker. */
  readonly databasePath?: string;
  /** Of the HTTP API; absent: there is none. */
  readonly management?: ManagementOptions;
  /** Absent: no plugin. */
  readonly plugin?: {
    readonly config: PluginConfig;
    /** Where the plugin's configuration lies in the data directory; its store lies beside it. */
    readonly configPath: string;
  };
  readonly logger: Logger;
}

/** Where everything listens; absent: nowhere. */
export interface EngineAddresses extends BrokerAddresses {
  /** The HTTP API. */
  readonly http?: ListenAddress;
}

/** The broker with its plugin, if one is enabled, and the HTTP API. */
export class Engine {
  readonly #broker: Broker;
  readonly #plugin: OfflineMessagePlugin | undefined;
  readonly #management: ManagementServer | undefined;

  constructor({ brokerOptions, databasePath, management, plugin, logger }: EngineParts) {
    const broker = new Broker({ options: brokerOptions, databasePath, logger });
    this.#broker = broker;
    const backend = plugin && enabledBackend(plugin.config);
    if (plugin !== undefined && backend !== undefined) {
      const { config, configPath } = plugin;
      const store = createStore({ config, backend, configPath, logger });
      const options = pluginOptions(config, backend);
      this.#plugin = new OfflineMessagePlugin({ host: broker.host, store, options, logger });
      broker.setHooks(this.#plugin);
    }
    if (management === undefined) return;
    this.#management = new ManagementServer({ options: management, broker, plugin: this.#plugin, logger });
  }

  /** Opens the store and listens. Rejects as `Broker.start` does; then nothing is left running. */
  async start(): Promise<EngineAddresses> {
    await this.#plugin?.start();
    try {
      const addresses = await this.#broker.start();
      return { ...addresses, http: await this.#management?.start() };
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Whether the plugin's store works, as far as it is known; undefined: there is no store. */
  get storeHealth(): StoreHealth | undefined {
    return this.#plugin?.storeHealth;
  }

  /** Reads the certificates of the listeners again; see `Broker.reloadCertificates`. */
  reloadCertificates(): Promise<void> {
    return this.#broker.reloadCertificates();
  }

  /** Disconnects the clients, finishes what was begun, and closes the store. */
  async stop(): Promise<void> {
    await this.#broker.stop();
    await this.#plugin?.stop();
    await this.#management?.stop();
  }
}

function pluginOptions(config: PluginConfig, backend: Backend): PluginOptions {
  return {
    topics: config[backend].topics,
    delivery: config.delivery,
    onStoreError: config.on_store_error,
    onUnstorable: config.on_unstorable,
    qos0Replay: config.qos0_replay,
    subscriptionTtl: config.subscription_ttl,
  };
}
