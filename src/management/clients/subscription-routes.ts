// Subscriptions under EMQX's paths: listed, and made and ended on behalf of clients, connected or away.

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";
import type { SessionSubscription } from "../../broker/session-subscription.ts";
import { NODE_NAME } from "../../broker/sys-topics-values.ts";
import type { SubscriptionRequest } from "../../mqtt/subscription.ts";
import { parseTopicFilter, topicMatches, validateTopicFilter } from "../../mqtt/topic.ts";
import { ApiError } from "../api-error.ts";
import { PAGE_FIELDS, pageAnswer, pageOfItems, pageRequest } from "../paging.ts";
import { errors, exactly, NoContent } from "../schemas.ts";
import { CLIENTS, type ClientsBroker, clientNotFound, OfClient, sessionOf } from "./client-routes.ts";
import {
  requestOf,
  Subscribe,
  Subscribed,
  Subscription,
  subscribedJson,
  subscriptionJson,
  Unsubscribe,
} from "./subscription-json.ts";

const SUBSCRIPTIONS = "/api/v5/subscriptions";
/** Topic filters of one request. */
const MAX_FILTERS = 1000;
const tags = ["Subscriptions"];

const Filters = exactly({
  ...PAGE_FIELDS,
  node: Type.Optional(Type.String()),
  clientid: Type.Optional(Type.String()),
  topic: Type.Optional(Type.String({ description: "The topic filter, with or without $share/GROUP/" })),
  match_topic: Type.Optional(Type.String({ description: "A topic filter that matches the one subscribed to" })),
  share_group: Type.Optional(Type.String()),
  qos: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 })),
  durable: Type.Optional(Type.Boolean()),
});

const Failed = Type.Object({
  data: Type.Array(Type.Unknown(), { description: "Client id, topic filter and options" }),
  reason: Type.String(),
});
const SubscribedOrFailed = Type.Union([
  Type.Array(Subscribed),
  Type.Object({ succeed: Type.Array(Subscribed), failed: Type.Array(Failed) }),
]);

export async function subscriptionRoutes(app: FastifyInstance, { clients }: ClientsBroker): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();
  const ofClient = `${CLIENTS}/:clientid`;

  const list = {
    summary: "Subscriptions of all clients",
    tags,
    querystring: Filters,
    response: { 200: pageOfItems(Subscription), ...errors(400, 503) },
  };
  api.get(SUBSCRIPTIONS, { schema: list }, async ({ query }) => {
    const request = pageRequest(query);
    const page = await clients.subscriptions(request, query.clientid, filterOf(query));
    return pageAnswer(page, request, subscriptionJson);
  });

  const held = {
    summary: "Subscriptions of a client",
    tags,
    params: OfClient,
    response: { 200: Type.Array(Subscription), ...errors(404) },
  };
  api.get(`${ofClient}/subscriptions`, { schema: held }, async ({ params }) => {
    const { subscriptions } = sessionOf({ clients }, params.clientid);
    return [...subscriptions.values()].map(subscriptionJson);
  });

  const subscribe = {
    summary: "Subscribe on behalf of a client",
    tags,
    params: OfClient,
    body: Subscribe,
    response: { 200: Subscribed, ...errors(400, 404, 503) },
  };
  api.post(`${ofClient}/subscribe`, { schema: subscribe }, async ({ params: { clientid }, body }) => {
    const [made] = (await clients.subscribe(clientid, [requestOf(body)])) ?? [];
    if (made === undefined) throw clientNotFound();
    if ("reason" in made) throw invalid(made.reason);
    return subscribedJson(clientid, made.request);
  });

  const subscribeMany = {
    summary: "Subscribe to several topic filters on behalf of a client",
    tags,
    params: OfClient,
    body: Type.Array(Subscribe, { maxItems: MAX_FILTERS }),
    response: { 200: SubscribedOrFailed, ...errors(400, 404, 503) },
  };
  api.post(`${ofClient}/subscribe/bulk`, { schema: subscribeMany }, async ({ params: { clientid }, body }) => {
    const made = await clients.subscribe(clientid, body.map(requestOf));
    if (made === undefined) throw clientNotFound();
    const succeed: Static<typeof Subscribed>[] = [];
    const failed: Static<typeof Failed>[] = [];
    for (const [at, one] of made.entries()) {
      if ("request" in one) succeed.push(subscribedJson(clientid, one.request));
      else failed.push({ data: failedData(clientid, body[at] as Static<typeof Subscribe>), reason: one.reason });
    }
    return failed.length === 0 ? succeed : { succeed, failed };
  });

  const unsubscribe = {
    summary: "Unsubscribe on behalf of a client, whether it is subscribed or not",
    tags,
    params: OfClient,
    body: Unsubscribe,
    response: { 204: NoContent, ...errors(400, 404, 503) },
  };
  api.post(`${ofClient}/unsubscribe`, { schema: unsubscribe }, async ({ params, body }, reply) => {
    await end(params.clientid, [body.topic]);
    return reply.code(204).send();
  });

  const unsubscribeMany = {
    summary: "Unsubscribe from several topic filters on behalf of a client",
    tags,
    params: OfClient,
    body: Type.Array(Unsubscribe, { maxItems: MAX_FILTERS }),
    response: { 204: NoContent, ...errors(400, 404, 503) },
  };
  api.post(`${ofClient}/unsubscribe/bulk`, { schema: unsubscribeMany }, async ({ params, body }, reply) => {
    await end(
      params.clientid,
      body.map(({ topic }) => topic),
    );
    return reply.code(204).send();
  });

  async function end(clientId: string, topicFilters: readonly string[]): Promise<void> {
    sessionOf({ clients }, clientId);
    for (const topicFilter of topicFilters) {
      const problem = validateTopicFilter(topicFilter);
      if (problem !== undefined) throw invalid(problem.message);
    }
    if (!(await clients.unsubscribe(clientId, topicFilters))) throw clientNotFound();
  }
}

function invalid(message: string): ApiError {
  return new ApiError(400, "INVALID_PARAMETER", message);
}

function failedData(clientId: string, { topic, ...given }: Static<typeof Subscribe>): unknown[] {
  return [clientId, topic, { qos: 0, nl: 0, rap: 0, rh: 0, ...given }];
}

type Given = Omit<Static<typeof Filters>, "page" | "limit" | "clientid">;

/** Undefined: every subscription. Throws `ApiError` 400 for a `match_topic` that is no topic filter. */
function filterOf(given: Given): ((subscription: SessionSubscription) => boolean) | undefined {
  const { node, topic, match_topic, share_group, qos, durable } = given;
  if (Object.values({ node, topic, match_topic, share_group, qos, durable }).every((one) => one === undefined)) {
    return undefined;
  }
  const matched = match_topic === undefined ? undefined : pattern(match_topic);
  return ({ filter, request }) =>
    (node === undefined || node === NODE_NAME) &&
    durable !== true &&
    (qos === undefined || request.qos === qos) &&
    (topic === undefined || topic === filter || topic === request.topicFilter) &&
    (share_group === undefined || isOfGroup(request, share_group)) &&
    (matched === undefined || topicMatches(matched, filter));
}

function isOfGroup({ topicFilter }: SubscriptionRequest, group: string): boolean {
  return parseTopicFilter(topicFilter).shareName === group;
}

function pattern(topicFilter: string): string {
  const problem = validateTopicFilter(topicFilter);
  if (problem !== undefined) throw invalid(problem.message);
  return parseTopicFilter(topicFilter).filter;
}
