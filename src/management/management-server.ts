// The HTTP server of the API: which paths there are, who may ask, and how it starts and stops.

import type { FastifyInstance } from "fastify";
import { type ListenAddress, Listener } from "../broker/listener.ts";
import { RepeatedWarning } from "../broker/repeated-warning.ts";
import type { Logger } from "../mqtt/logger.ts";
import { ApiKeys } from "./api-keys.ts";
import { makeApp } from "./app.ts";
import { authenticated } from "./authentication.ts";
import { documented, openApiRoutes } from "./openapi.ts";
import type { ManagementOptions } from "./options.ts";
import type { AllowedPackages } from "./plugins/allowed-packages.ts";
import type { PluginManager } from "./plugins/plugin-manager.ts";
import { pluginRoutes } from "./plugins/plugin-routes.ts";
import { METRICS_PATH, type MetricSources, type PluginMetrics, PrometheusMetrics } from "./prometheus.ts";
import { NO_SECURITY } from "./schemas.ts";
import { statusRoutes } from "./status-routes.ts";

/** The listener's name in the configuration. */
const LISTENER = "dashboard.listeners.http";

export interface ManagementParts extends MetricSources {
  readonly options: ManagementOptions;
  readonly plugins: PluginManager;
  readonly allowed: AllowedPackages;
  readonly logger: Logger;
}

export class ManagementServer {
  readonly #options: ManagementOptions;
  readonly #metrics: PrometheusMetrics;
  readonly #app: FastifyInstance;
  readonly #listener: Listener;

  constructor({ options, logger, broker, plugins, allowed }: ManagementParts) {
    this.#options = options;
    this.#metrics = new PrometheusMetrics({ broker });
    this.#app = makeApp(options.requestTimeout, logger);
    this.#app.register(documented);
    this.#app.register(async (app) => {
      const schema = { summary: "Metrics for Prometheus", tags: ["Metrics"], security: NO_SECURITY };
      app.get(METRICS_PATH, { schema }, async (_request, reply) => {
        reply.type(this.#metrics.contentType);
        return this.#metrics.text();
      });
      await statusRoutes(app, plugins);
      await openApiRoutes(app);
    });
    this.#app.register(async (app) => {
      app.addHook("onRequest", authenticated(new ApiKeys(options.apiKeys)));
      await pluginRoutes(app, { plugins, allowed, isTrusted: false });
    });
    const refused = new RepeatedWarning(logger, "an HTTP connection could not be accepted", () => Date.now());
    const { server } = this.#app;
    server.maxConnections = options.maxConnections;
    server.on("drop", () => refused.warn({ maxConnections: options.maxConnections }));
    this.#listener = new Listener(LISTENER, server, (error) => refused.warn({ err: error }));
  }

  /** The plugin whose metrics are told; undefined: none runs. */
  set plugin(metrics: PluginMetrics | undefined) {
    this.#metrics.plugin = metrics;
  }

  /** Resolves with the address that was bound. Rejects with `ListenError`. */
  async start(): Promise<ListenAddress> {
    await this.#app.ready();
    const address = await this.#listener.listen(this.#options);
    this.#metrics.start();
    return address;
  }

  /** Answers nothing more, and closes all connections. */
  async stop(): Promise<void> {
    this.#metrics.stop();
    const closed = this.#app.close();
    this.#app.server.closeAllConnections();
    await closed;
  }
}
