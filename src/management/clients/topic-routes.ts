// What is subscribed to: EMQX's routes.

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";
import { NODE_NAME } from "../../broker/sys-topics-values.ts";
import { ApiError } from "../api-error.ts";
import { PAGE_FIELDS, pageAnswer, pageOfItems, pageRequest } from "../paging.ts";
import { errors, exactly } from "../schemas.ts";
import type { ClientsBroker } from "./client-routes.ts";

const TOPICS = "/api/v5/topics";
const tags = ["Topics"];

const Topic = Type.Object({ topic: Type.String(), node: Type.String() });

export async function topicRoutes(app: FastifyInstance, { clients }: ClientsBroker): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();

  const list = {
    summary: "Topic filters that are subscribed to",
    tags,
    querystring: exactly({
      ...PAGE_FIELDS,
      topic: Type.Optional(Type.String()),
      node: Type.Optional(Type.String()),
    }),
    response: { 200: pageOfItems(Topic), ...errors(400, 503) },
  };
  api.get(TOPICS, { schema: list }, async ({ query }) => {
    const { topic, node } = query;
    const request = pageRequest(query);
    const matches = (filter: string): boolean =>
      (topic === undefined || filter === topic) && (node === undefined || node === NODE_NAME);
    const page = await clients.topicFilters(request, topic === undefined && node === undefined ? undefined : matches);
    return pageAnswer(page, request, topicJson);
  });

  const show = {
    summary: "Whether a topic filter is subscribed to",
    tags,
    params: Type.Object({ topic: Type.String() }),
    response: { 200: Type.Array(Topic), ...errors(404, 503) },
  };
  api.get(`${TOPICS}/:topic`, { schema: show }, async ({ params: { topic } }) => {
    const { items } = await clients.topicFilters({ page: 1, limit: 1 }, (filter) => filter === topic);
    if (items.length === 0) throw new ApiError(404, "TOPIC_NOT_FOUND", "Topic not found");
    return items.map(topicJson);
  });
}

function topicJson(topic: string): Static<typeof Topic> {
  return { topic, node: NODE_NAME };
}
