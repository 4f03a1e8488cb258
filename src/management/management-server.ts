// The HTTP server of the API: starts, limits what clients may send and how long they may take, and stops.

import { type FastifyError, type FastifyInstance, fastify } from "fastify";
import { type ListenAddress, Listener } from "../broker/listener.ts";
import { RepeatedWarning } from "../broker/repeated-warning.ts";
import type { Logger } from "../mqtt/logger.ts";
import type { ManagementOptions } from "./options.ts";
import { METRICS_PATH, type MetricSources, PrometheusMetrics } from "./prometheus.ts";

/** The listener's name in the configuration. */
const LISTENER = "dashboard.listeners.http";
/** Bytes of a request's body. */
const BODY_LIMIT = 1024 * 1024;
/** Bytes of a request's headers. */
const MAX_HEADER_BYTES = 16 * 1024;
/** How often requests that take too long are looked for, in ms. */
const REQUEST_CHECK = 1000;
/** A connection on which nothing happens is closed after so long, in ms. */
const IDLE_TIMEOUT = 60_000;

export interface ManagementParts extends MetricSources {
  readonly options: ManagementOptions;
  readonly logger: Logger;
}

export class ManagementServer {
  readonly #options: ManagementOptions;
  readonly #metrics: PrometheusMetrics;
  readonly #app: FastifyInstance;
  readonly #listener: Listener;

  constructor({ options, logger, ...sources }: ManagementParts) {
    this.#options = options;
    this.#metrics = new PrometheusMetrics(sources);
    this.#app = appOf(options, logger);
    this.#app.get(METRICS_PATH, async (_request, reply) => {
      reply.type(this.#metrics.contentType);
      return this.#metrics.text();
    });
    const refused = new RepeatedWarning(logger, "an HTTP connection could not be accepted", () => Date.now());
    const { server } = this.#app;
    server.maxConnections = options.maxConnections;
    server.on("drop", () => refused.warn({ maxConnections: options.maxConnections }));
    this.#listener = new Listener(LISTENER, server, (error) => refused.warn({ err: error }));
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

/** Knows no path yet; errors are told as EMQX's API tells them. */
function appOf({ requestTimeout }: ManagementOptions, logger: Logger): FastifyInstance {
  const timeout = requestTimeout * 1000;
  const app = fastify({
    bodyLimit: BODY_LIMIT,
    requestTimeout: timeout,
    connectionTimeout: IDLE_TIMEOUT,
    keepAliveTimeout: IDLE_TIMEOUT,
    http: { maxHeaderSize: MAX_HEADER_BYTES, connectionsCheckingInterval: Math.min(REQUEST_CHECK, timeout) },
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ code: "NOT_FOUND", message: "Not found." }));
  app.setErrorHandler((error: FastifyError, { method, url }, reply) => {
    const status = error.statusCode ?? 500;
    if (status < 500) return reply.code(status).send({ code: "BAD_REQUEST", message: error.message });
    logger.error({ err: error, method, url }, "an HTTP request could not be answered");
    return reply.code(500).send({ code: "INTERNAL_ERROR", message: "The server failed: its log says why." });
  });
  return app;
}
