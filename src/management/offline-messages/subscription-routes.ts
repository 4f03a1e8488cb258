// The endpoints of stored subscriptions, and of how far clients have come with what is stored for them.

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { Subscription } from "../../mqtt/subscription.ts";
import type { ReplayState } from "../../plugin/replay-state.ts";
import { ApiError } from "../api-error.ts";
import type { PluginManager } from "../plugins/plugin-manager.ts";
import { errors, exactly, NoContent } from "../schemas.ts";
import { fromPosition, Limit, OFFLINE_MESSAGES, PositionText, tags, toPosition } from "./request-parts.ts";
import { asked, runningBacklog } from "./running-backlog.ts";

/** EMQX's names. */
const StoredSubscription = Type.Object({
  clientid: Type.String(),
  topic: Type.String(),
  qos: Type.Integer(),
  nl: Type.Integer({ description: "No Local" }),
  rap: Type.Integer({ description: "Retain As Published" }),
  rh: Type.Integer({ description: "Retain Handling" }),
  subscription_identifier: Type.Optional(Type.Integer()),
});
const ReplayJson = Type.Object({
  clientid: Type.Optional(Type.String({ description: "Absent: of a shared subscription" })),
  topic: Type.String({ description: "The topic filter" }),
  status: Type.String({ description: "catching_up or live" }),
  position: Type.Optional(Type.String({ description: "Messages up to there were sent or passed over" })),
  last_msgid: Type.Optional(Type.String({ description: "The highest id sent since it began to catch up" })),
  read_ahead: Type.Integer({ description: "Messages that are read and not sent yet" }),
});
const Meta = Type.Object({
  limit: Type.Integer(),
  count: Type.Optional(Type.Integer({ description: "Of all pages" })),
  position: Type.Optional(Type.String({ description: "Where the next page begins; absent: there is none" })),
});
const OfClient = Type.Object({ clientid: Type.String() });
const paged = exactly({ limit: Limit, position: Type.Optional(PositionText) });

export async function subscriptionRoutes(app: FastifyInstance, plugins: PluginManager): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();

  const listClients = {
    summary: "Clients that have stored subscriptions",
    tags,
    querystring: paged,
    response: {
      200: Type.Object({ data: Type.Array(Type.Object({ clientid: Type.String() })), meta: Meta }),
      ...errors(400, 404, 501, 503),
    },
  };
  api.get(`${OFFLINE_MESSAGES}/subscriptions`, { schema: listClients }, async ({ query: { limit, position } }) => {
    // One more than asked for tells whether there are others.
    const clients = await asked(runningBacklog(plugins).listClients(fromPosition(position), limit + 1));
    if (clients === undefined) {
      const message = "The store cannot tell which clients have subscriptions: ask for one client.";
      throw new ApiError(501, "NOT_SUPPORTED", message);
    }
    const page = clients.slice(0, limit);
    const last = clients.length > limit ? page.at(-1) : undefined;
    const meta = { limit, ...(last === undefined ? undefined : { position: toPosition(last) }) };
    return { data: page.map((clientid) => ({ clientid })), meta };
  });

  const getSubscriptions = {
    summary: "The stored subscriptions of a client",
    tags,
    params: OfClient,
    response: { 200: Type.Array(StoredSubscription), ...errors(404, 503) },
  };
  const path = `${OFFLINE_MESSAGES}/subscriptions/:clientid`;
  api.get(path, { schema: getSubscriptions }, async ({ params: { clientid } }) => {
    const subscriptions = await asked(runningBacklog(plugins).listSubscriptions(clientid));
    if (subscriptions.length === 0) throw new ApiError(404, "NOT_FOUND", `No subscription of ${clientid} is stored.`);
    return subscriptions.map(subscriptionToJson);
  });

  const deleteSubscription = {
    summary: "Remove a stored subscription, which then does not come back",
    tags,
    params: OfClient,
    querystring: exactly({ topic: Type.String({ description: "The topic filter, as the client wrote it" }) }),
    response: { 204: NoContent, ...errors(400, 404, 503) },
  };
  api.delete(path, { schema: deleteSubscription }, async ({ params: { clientid }, query: { topic } }, reply) => {
    if (await asked(runningBacklog(plugins).removeSubscription(clientid, topic))) return reply.code(204).send();
    throw new ApiError(404, "NOT_FOUND", `No subscription of ${clientid} to ${topic} is stored.`);
  });

  const listReplays = {
    summary: "Subscriptions that catch up from the store now",
    tags,
    querystring: paged,
    response: { 200: Type.Object({ data: Type.Array(ReplayJson), meta: Meta }), ...errors(400, 404) },
  };
  api.get(`${OFFLINE_MESSAGES}/replays`, { schema: listReplays }, async ({ query: { limit, position } }) => {
    const { replays, next, total } = runningBacklog(plugins).replaysCatchingUp(fromPosition(position), limit);
    const meta = { limit, count: total, ...(next === undefined ? undefined : { position: toPosition(next) }) };
    return { data: replays.map(replayToJson), meta };
  });

  const getReplays = {
    summary: "How far the subscriptions of a connected client are",
    tags,
    params: OfClient,
    response: {
      200: Type.Object({
        clientid: Type.String(),
        inflight: Type.Integer({ description: "Messages from the store that are sent and not acknowledged" }),
        receive_maximum: Type.Integer(),
        replays: Type.Array(ReplayJson),
      }),
      ...errors(404),
    },
  };
  api.get(`${OFFLINE_MESSAGES}/replays/:clientid`, { schema: getReplays }, async ({ params: { clientid } }) => {
    const state = runningBacklog(plugins).replaysOf(clientid);
    if (state === undefined) throw new ApiError(404, "NOT_FOUND", `No client ${clientid} is connected.`);
    const { inflight, receiveMaximum, replays } = state;
    return { clientid, inflight, receive_maximum: receiveMaximum, replays: replays.map(replayToJson) };
  });
}

function subscriptionToJson({ clientId, topicFilter, qos, ...options }: Subscription) {
  const { noLocal, retainAsPublished, retainHandling, subscriptionIdentifier } = options;
  return {
    clientid: clientId,
    topic: topicFilter,
    qos,
    nl: Number(noLocal),
    rap: Number(retainAsPublished),
    rh: retainHandling,
    ...(subscriptionIdentifier === undefined ? undefined : { subscription_identifier: subscriptionIdentifier }),
  };
}

function replayToJson({ clientId, topicFilter, isCatchingUp, position, lastId, readAhead }: ReplayState) {
  return {
    ...(clientId === undefined ? undefined : { clientid: clientId }),
    topic: topicFilter,
    status: isCatchingUp ? "catching_up" : "live",
    ...(position === undefined ? undefined : { position }),
    ...(lastId === undefined ? undefined : { last_msgid: lastId }),
    read_ahead: readAhead,
  };
}
