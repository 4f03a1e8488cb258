// Puts broker, plugins and HTTP API together, and starts and stops them in the right order.

import { Broker } from "../broker/broker.ts";
import type { BrokerAddresses } from "../broker/listeners.ts";
import type { BrokerOptions } from "../broker/options.ts";
import type { Accounts } from "../management/accounts/accounts.ts";
import { ControlServer } from "../management/control-server.ts";
import { type ManagementAddresses, ManagementServer } from "../management/management-server.ts";
import type { ManagementOptions } from "../management/options.ts";
import { AllowedPackages } from "../management/plugins/allowed-packages.ts";
import { PluginManager } from "../management/plugins/plugin-manager.ts";
import type { PluginSource } from "../management/plugins/plugin-source.ts";
import type { Logger } from "../mqtt/logger.ts";

export interface EmbeddedBrokerParts {
  readonly brokerOptions: BrokerOptions;
  /** The file that keeps sessions, wills and retained messages; absent: they end with the broker. */
  readonly databasePath?: string;
  /** The HTTP API and who may use it; absent: there is none. */
  readonly management?: { readonly options: ManagementOptions; readonly accounts: Accounts } | undefined;
  /** Where the files of the dashboard lie; absent: there is none. */
  readonly dashboardFolder?: string | undefined;
  /** Where plugins and their configurations and stores lie. */
  readonly pluginFolder: string;
  /** The plugin that the broker brings; absent: none. */
  readonly builtIn?: PluginSource;
  /** Where `omp plugins` reaches this broker. */
  readonly controlSocket: string;
  readonly logger: Logger;
}

/** Where everything listens; absent: nowhere. */
export type EmbeddedBrokerAddresses = BrokerAddresses & ManagementAddresses;

/** The broker with its plugins and the HTTP API. */
export class EmbeddedBroker {
  readonly plugins: PluginManager;
  readonly #broker: Broker;
  readonly #management: ManagementServer | undefined;
  readonly #control: ControlServer;

  constructor(parts: EmbeddedBrokerParts) {
    const { brokerOptions, databasePath, management, pluginFolder, builtIn, controlSocket, dashboardFolder, logger } =
      parts;
    const broker = new Broker({ options: brokerOptions, databasePath, logger });
    const allowed = new AllowedPackages(() => performance.now());
    this.#broker = broker;
    this.plugins = new PluginManager({
      broker,
      folder: pluginFolder,
      builtIn,
      allowed,
      logger,
      changed: (engine) => {
        if (this.#management !== undefined) this.#management.plugin = engine?.metrics;
      },
    });
    const access = { plugins: this.plugins, allowed, logger };
    const webSocketPorts = (): number[] =>
      [broker.addresses.ws, broker.addresses.wss].flatMap((address) => address?.port ?? []);
    const dashboard = { folder: dashboardFolder, webSocketPorts };
    this.#management = management && new ManagementServer({ ...management, dashboard, broker, ...access });
    this.#control = new ControlServer({ path: controlSocket, accounts: management?.accounts, ...access });
  }

  /** Starts the plugins and listens. Rejects as `Broker.start` does; then nothing is left running. */
  async start(): Promise<EmbeddedBrokerAddresses> {
    try {
      await this.plugins.start();
      const addresses = await this.#broker.start();
      await this.#control.start();
      return { ...addresses, ...(await this.#management?.start()) };
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Reads the certificates of the listeners again; see `Broker.reloadCertificates`. */
  async reloadCertificates(): Promise<void> {
    await Promise.all([this.#broker.reloadCertificates(), this.#management?.reloadCertificates()]);
  }

  /** Disconnects the clients, finishes what was begun, and closes the store. */
  async stop(): Promise<void> {
    await this.#broker.stop();
    await Promise.all([this.#control.stop(), this.#management?.stop()]);
    await this.plugins.stop();
  }
}
