// GET /monitor: what the broker did in the last fifteen minutes, for charts.

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { errors, exactly } from "../schemas.ts";
import type { Monitor } from "./monitor.ts";

const Known = Type.Union([Type.Number(), Type.Null()]);
const Sample = Type.Object({
  time_stamp: Type.Integer({ description: "Milliseconds since the epoch" }),
  connections: Type.Integer({ description: "Sessions" }),
  live_connections: Type.Integer({ description: "Clients that are connected" }),
  received_msg_rate: Type.Number({ description: "Messages per second" }),
  sent_msg_rate: Type.Number(),
  stored_msg_rate: Type.Number(),
  acknowledged_msg_rate: Type.Number(),
  limit_refused: Type.Integer({
    description: "Publishes refused since the sample before, because a limit of the store was reached",
  }),
  backlog_messages: Known,
  backlog_bytes: Known,
  oldest_publish_at: Known,
});

const monitored = {
  summary: "Samples of the last fifteen minutes, the oldest first",
  tags: ["Nodes"],
  querystring: exactly({
    after: Type.Optional(
      Type.Integer({ minimum: 0, default: 0, description: "Only samples after this time, in ms since the epoch" }),
    ),
  }),
  response: { 200: Type.Array(Sample), ...errors(400) },
};

export async function monitorRoutes(app: FastifyInstance, monitor: Monitor): Promise<void> {
  app
    .withTypeProvider<TypeBoxTypeProvider>()
    .get("/api/v5/monitor", { schema: monitored }, async ({ query }) => [...monitor.after(query.after ?? 0)]);
}
