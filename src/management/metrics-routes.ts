// GET /prometheus/stats: the metrics in Prometheus's text format.

import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { METRICS_PATH, type PrometheusMetrics } from "./prometheus.ts";
import { exactly, NO_SECURITY, oneOf } from "./schemas.ts";

/** EMQX's other modes are about several nodes. */
const MODE = exactly({ mode: Type.Optional(oneOf(["node"])) });

/** `isOpen`: nobody is asked for an account. */
export async function metricsRoutes(app: FastifyInstance, metrics: PrometheusMetrics, isOpen: boolean): Promise<void> {
  const schema = {
    summary: "Metrics for Prometheus",
    tags: ["Metrics"],
    querystring: MODE,
    ...(isOpen && { security: NO_SECURITY }),
  };
  app.get(METRICS_PATH, { schema }, async (_request, reply) => {
    reply.type(metrics.contentType);
    return metrics.text();
  });
}
