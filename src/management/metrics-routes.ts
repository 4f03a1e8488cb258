// GET /prometheus/stats: the metrics in Prometheus's text format.

import type { FastifyInstance } from "fastify";
import { METRICS_PATH, type PrometheusMetrics } from "./prometheus.ts";
import { NO_SECURITY } from "./schemas.ts";

/** `isOpen`: nobody is asked for an account. */
export async function metricsRoutes(app: FastifyInstance, metrics: PrometheusMetrics, isOpen: boolean): Promise<void> {
  const schema = { summary: "Metrics for Prometheus", tags: ["Metrics"], ...(isOpen && { security: NO_SECURITY }) };
  app.get(METRICS_PATH, { schema }, async (_request, reply) => {
    reply.type(metrics.contentType);
    return metrics.text();
  });
}
