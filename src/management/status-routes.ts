// GET /status for load balancers, under EMQX's paths: whether the node runs, and whether its plugins can do their work.

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { NODE_NAME } from "../broker/sys-topics-values.ts";
import { version } from "../mqtt/version.ts";
import { type PluginManager, problemOf } from "./plugins/plugin-manager.ts";
import { HealthStatus, healthStatus } from "./plugins/plugin-routes.ts";
import { nameOf } from "./plugins/plugin-source.ts";
import { exactly, NO_SECURITY, oneOf } from "./schemas.ts";

const PATHS = ["/status", "/api/v5/status"];

const Told = Type.Union([
  Type.String(),
  Type.Object({
    node_name: Type.String(),
    rel_vsn: Type.String(),
    broker_status: Type.String(),
    app_status: Type.String(),
    plugins: Type.Array(Type.Object({ name: Type.String(), status: Type.String(), health_status: HealthStatus })),
  }),
]);
const schema = {
  summary: "Whether the node and its plugins work",
  tags: ["Status"],
  security: NO_SECURITY,
  querystring: exactly({ format: Type.Optional(oneOf(["text", "json"])) }),
  response: { 200: Told, 503: Told },
};

/** Nobody is asked for a key. 200, or 503 while an enabled plugin does not run or its store does not work. */
export async function statusRoutes(app: FastifyInstance, plugins: PluginManager): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();
  for (const path of PATHS) {
    api.get(path, { schema }, async ({ query }, reply) => {
      const told = plugins.list().map((plugin) => {
        const status = plugin.engine === undefined ? "stopped" : "running";
        return { name: nameOf(plugin.source), status, problem: problemOf(plugin) };
      });
      reply.code(told.some(({ problem }) => problem !== undefined) ? 503 : 200);
      if (query.format === "json") {
        return {
          node_name: NODE_NAME,
          rel_vsn: version(),
          broker_status: "started",
          app_status: "running",
          plugins: told.map(({ name, status, problem }) => ({
            name,
            status,
            health_status: healthStatus(problem),
          })),
        };
      }
      const lines = told.map(({ name, status, problem }) => `${name} is ${status}${problem ? `: ${problem}` : ""}`);
      return reply
        .type("text/plain; charset=utf-8")
        .send([`Node ${NODE_NAME} is started`, "omp is running", ...lines, ""].join("\n"));
    });
  }
}
