// The HTTP server of the API: which paths there are, who may ask, and how it starts and stops.

import type { Server as HttpServer } from "node:http";
import type { Server as HttpsServer } from "node:https";
import type { FastifyInstance } from "fastify";
import { clientCertificateProblem, reloadCertificates, tlsServerOptions } from "../broker/certificates.ts";
import { Listener } from "../broker/listener.ts";
import type { ListenAddress } from "../mqtt/listen.ts";
import type { Logger } from "../mqtt/logger.ts";
import { RepeatedWarning } from "../mqtt/repeated-warning.ts";
import { readCertificates } from "../tls/certificates.ts";
import type { Accounts } from "./accounts/accounts.ts";
import { apiKeyRoutes } from "./accounts/api-key-routes.ts";
import { authenticated } from "./accounts/authentication.ts";
import { loginRoutes, logoutRoutes } from "./accounts/login-routes.ts";
import { userRoutes } from "./accounts/user-routes.ts";
import { makeApp, secureServer } from "./app.ts";
import { brokerRoutes, type ManagedBroker } from "./broker-routes.ts";
import { guardBrowsers } from "./browsers.ts";
import { type DashboardParts, dashboardRoutes } from "./dashboard-routes.ts";
import { metricsRoutes } from "./metrics-routes.ts";
import { Monitor } from "./node/monitor.ts";
import { monitorRoutes } from "./node/monitor-routes.ts";
import { offlineMessageRoutes } from "./offline-messages/offline-message-routes.ts";
import { documented, openApiRoutes } from "./openapi.ts";
import type { ManagementListener, ManagementOptions } from "./options.ts";
import type { AllowedPackages } from "./plugins/allowed-packages.ts";
import type { PluginManager } from "./plugins/plugin-manager.ts";
import { pluginRoutes } from "./plugins/plugin-routes.ts";
import { type MetricSources, type PluginMetrics, PrometheusMetrics } from "./prometheus.ts";
import { statusRoutes } from "./status-routes.ts";

/** The listeners' names in the configuration. */
const HTTP = "dashboard.listeners.http";
const HTTPS = "dashboard.listeners.https";

export interface ManagementParts extends MetricSources {
  readonly broker: ManagedBroker;
  readonly options: ManagementOptions;
  readonly accounts: Accounts;
  readonly plugins: PluginManager;
  readonly allowed: AllowedPackages;
  readonly dashboard: DashboardParts;
  readonly logger: Logger;
}

export interface ManagementAddresses {
  readonly http?: ListenAddress | undefined;
  readonly https?: ListenAddress | undefined;
}

export class ManagementServer {
  readonly #options: ManagementOptions;
  readonly #logger: Logger;
  readonly #metrics: PrometheusMetrics;
  readonly #monitor: Monitor;
  readonly #app: FastifyInstance;
  readonly #refused: RepeatedWarning;
  #secure: HttpsServer | undefined;

  constructor({ options, logger, broker, accounts, plugins, allowed, dashboard }: ManagementParts) {
    this.#options = options;
    this.#logger = logger;
    this.#refused = new RepeatedWarning(logger, "an HTTP connection could not be accepted", () => Date.now());
    this.#metrics = new PrometheusMetrics({ broker });
    this.#monitor = new Monitor(broker.metrics);
    this.#app = makeApp(options.requestTimeout, logger);
    guardBrowsers(this.#app, options.origins);
    documented(this.#app);
    this.#app.register(async (open) => {
      if (!options.metricsNeedAccount) await metricsRoutes(open, this.#metrics, true);
      await statusRoutes(open, plugins);
      await openApiRoutes(open);
      await loginRoutes(open, accounts, logger);
      await dashboardRoutes(open, dashboard);
    });
    this.#app.register(async (guarded) => {
      guarded.addHook("onRequest", authenticated(accounts, logger));
      if (options.metricsNeedAccount) await metricsRoutes(guarded, this.#metrics, false);
      await logoutRoutes(guarded, accounts);
      await userRoutes(guarded, accounts, logger);
      await apiKeyRoutes(guarded, accounts, logger);
      await pluginRoutes(guarded, { plugins, allowed, isTrusted: false });
      await offlineMessageRoutes(guarded, { plugins, logger });
      await brokerRoutes(guarded, broker);
      await monitorRoutes(guarded, this.#monitor);
    });
  }

  /** The plugin whose metrics are told; undefined: none runs. */
  set plugin(metrics: PluginMetrics | undefined) {
    this.#metrics.plugin = metrics;
    this.#monitor.plugin = metrics;
  }

  /** Resolves with the addresses that were bound. Rejects with `ListenError` and `CertificateError`. */
  async start(): Promise<ManagementAddresses> {
    const { http, https, requestTimeout } = this.#options;
    await this.#app.ready();
    const addresses: { http?: ListenAddress; https?: ListenAddress } = {};
    if (http !== undefined) addresses.http = await this.#listen(HTTP, this.#app.server, http);
    if (https !== undefined) {
      const options = tlsServerOptions(https.tls, await readCertificates(https.tls), requestTimeout);
      this.#secure = secureServer(this.#app, options, requestTimeout);
      this.#secure.on("secureConnection", (socket) => {
        const problem = clientCertificateProblem(https.tls, socket);
        if (problem === undefined) return;
        this.#refused.warn({ remoteAddress: socket.remoteAddress, problem });
        socket.destroy();
      });
      addresses.https = await this.#listen(HTTPS, this.#secure, https);
    }
    this.#metrics.start();
    this.#monitor.start();
    return addresses;
  }

  /** Reads the certificates again, for connections to come. A file that cannot be used is logged. */
  async reloadCertificates(): Promise<void> {
    const { https } = this.#options;
    if (https === undefined || this.#secure === undefined) return;
    await reloadCertificates(HTTPS, this.#secure, https.tls, this.#logger);
  }

  /** Answers nothing more, and closes all connections. */
  async stop(): Promise<void> {
    this.#metrics.stop();
    this.#monitor.stop();
    const closed = this.#app.close();
    this.#secure?.close();
    for (const server of [this.#app.server, this.#secure]) server?.closeAllConnections();
    await closed;
  }

  #listen(name: string, server: HttpServer | HttpsServer, listener: ManagementListener): Promise<ListenAddress> {
    const { maxConnections } = listener;
    server.maxConnections = maxConnections;
    server.on("drop", () => this.#refused.warn({ listener: name, maxConnections }));
    return new Listener(name, server, (error) => this.#refused.warn({ err: error })).listen(listener);
  }
}
