// The node under EMQX's paths: how it is, what is there now, and what it has counted. There is one node only.

import { freemem, loadavg, totalmem } from "node:os";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";
import type { Broker } from "../../broker/broker.ts";
import { EMQX_METRICS, EMQX_STATS, type EmqxMetric } from "../../broker/emqx-metrics.ts";
import type { Metrics } from "../../broker/metrics.ts";
import { NODE_NAME } from "../../broker/sys-topics-values.ts";
import { version } from "../../mqtt/version.ts";
import { ApiError } from "../api-error.ts";
import { errors, exactly } from "../schemas.ts";

const API = "/api/v5";
const tags = ["Nodes"];

const Numbers = Type.Object({}, { additionalProperties: Type.Union([Type.Number(), Type.String()]) });
const NumbersOfNodes = Type.Union([Numbers, Type.Array(Numbers)]);
const Aggregate = exactly({
  aggregate: Type.Optional(Type.Boolean({ description: "One object, not one for each node" })),
});
const OfNode = Type.Object({ node: Type.String() });

const Node = Type.Object({
  node: Type.String(),
  node_status: Type.String(),
  role: Type.String(),
  version: Type.String(),
  uptime: Type.Integer({ description: "Milliseconds" }),
  connections: Type.Integer(),
  live_connections: Type.Integer(),
  memory_total: Type.String(),
  memory_used: Type.String(),
  load1: Type.Number(),
  load5: Type.Number(),
  load15: Type.Number(),
});

export async function nodeRoutes(app: FastifyInstance, { metrics }: Pick<Broker, "metrics">): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();
  const check = (name: string): void => {
    if (name !== NODE_NAME)
      throw new ApiError(404, "NOT_FOUND", `There is no node of this name: this one is ${NODE_NAME}.`);
  };

  const list = { summary: "All nodes", tags, response: { 200: Type.Array(Node) } };
  api.get(`${API}/nodes`, { schema: list }, async () => [nodeJson(metrics)]);

  const show = { summary: "A node", tags, params: OfNode, response: { 200: Node, ...errors(404) } };
  api.get(`${API}/nodes/:node`, { schema: show }, async ({ params }) => {
    check(params.node);
    return nodeJson(metrics);
  });

  for (const [name, summary, read] of [
    ["stats", "What is there now, and the most so far", stats],
    ["metrics", "What was counted since the start", counters],
  ] as const) {
    const all = { summary, tags, querystring: Aggregate, response: { 200: NumbersOfNodes, ...errors(400) } };
    api.get(`${API}/${name}`, { schema: all }, async ({ query }) => {
      return query.aggregate ? read(metrics) : [{ ...read(metrics), node: NODE_NAME }];
    });

    const one = { summary: `${summary}, of a node`, tags, params: OfNode, response: { 200: Numbers, ...errors(404) } };
    api.get(`${API}/nodes/:node/${name}`, { schema: one }, async ({ params }) => {
      check(params.node);
      return read(metrics);
    });
  }
}

function stats(metrics: Metrics): Record<string, number> {
  metrics.noteHighest();
  return values(EMQX_STATS, metrics);
}

function counters(metrics: Metrics): Record<string, number> {
  return values(EMQX_METRICS, metrics);
}

function values(all: readonly EmqxMetric[], metrics: Metrics): Record<string, number> {
  return Object.fromEntries(all.map(({ name, read }) => [name, read(metrics)]));
}

function nodeJson({ sessions, connections }: Metrics): Static<typeof Node> {
  const [load1 = 0, load5 = 0, load15 = 0] = loadavg();
  const total = totalmem();
  return {
    node: NODE_NAME,
    node_status: "running",
    role: "core",
    version: version(),
    uptime: Math.round(process.uptime() * 1000),
    connections: sessions,
    live_connections: connections,
    memory_total: sizeText(total),
    memory_used: sizeText(total - freemem()),
    load1,
    load5,
    load15,
  };
}

/** As EMQX writes sizes. */
function sizeText(bytes: number): string {
  const [unit, of] = bytes >= 1024 ** 3 ? ["G", 1024 ** 3] : ["M", 1024 ** 2];
  return `${(bytes / (of as number)).toFixed(2)}${unit}`;
}
