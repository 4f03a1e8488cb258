// Clients and their sessions under EMQX's paths: listed, shown, kicked.

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { Broker } from "../../broker/broker.ts";
import type { Session } from "../../broker/session.ts";
import { ApiError } from "../api-error.ts";
import { PAGE_FIELDS, pageAnswer, pageOfItems, pageRequest } from "../paging.ts";
import { errors, exactly, NoContent } from "../schemas.ts";
import { CLIENT_FILTERS, clientFilter } from "./client-filters.ts";
import { Client, clientJson } from "./client-json.ts";

export const CLIENTS = "/api/v5/clients";
/** Clients that one request may kick. */
const MAX_KICKED = 1000;

export const clientTags = ["Clients"];
export const OfClient = Type.Object({ clientid: Type.String() });

export type ClientsBroker = Pick<Broker, "clients" | "options">;

/** Throws `ApiError` 404. */
export function sessionOf({ clients }: Pick<Broker, "clients">, clientId: string): Session {
  const session = clients.get(clientId);
  if (session === undefined) throw clientNotFound();
  return session;
}

export function clientNotFound(): ApiError {
  return new ApiError(404, "CLIENTID_NOT_FOUND", "Client ID not found");
}

export async function clientRoutes(app: FastifyInstance, { clients, options }: ClientsBroker): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();

  const list = {
    summary: "Clients, also those away whose sessions are kept",
    tags: clientTags,
    querystring: exactly({ ...PAGE_FIELDS, ...CLIENT_FILTERS }),
    response: { 200: pageOfItems(Client), ...errors(400, 503) },
  };
  api.get(CLIENTS, { schema: list }, async ({ query }) => {
    const request = pageRequest(query);
    const clientIds = query.clientid === undefined ? undefined : [query.clientid].flat();
    const page = await clients.sessions(request, clientIds, clientFilter(query));
    return pageAnswer(page, request, (session) => clientJson(session, options));
  });

  const show = {
    summary: "A client and its session",
    tags: clientTags,
    params: OfClient,
    response: { 200: Client, ...errors(404) },
  };
  api.get(`${CLIENTS}/:clientid`, { schema: show }, async ({ params }) => {
    return clientJson(sessionOf({ clients }, params.clientid), options);
  });

  const kick = {
    summary: "Disconnect a client and end its session",
    tags: clientTags,
    params: OfClient,
    response: { 204: NoContent, ...errors(404, 503) },
  };
  api.delete(`${CLIENTS}/:clientid`, { schema: kick }, async ({ params }, reply) => {
    if ((await clients.kick([params.clientid])) === 0) throw clientNotFound();
    return reply.code(204).send();
  });

  const kickMany = {
    summary: "Disconnect clients and end their sessions; those that are not there are passed over",
    tags: clientTags,
    body: Type.Array(Type.String(), { maxItems: MAX_KICKED }),
    response: { 204: NoContent, ...errors(400, 503) },
  };
  api.post(`${CLIENTS}/kickout/bulk`, { schema: kickMany }, async ({ body }, reply) => {
    await clients.kick(body);
    return reply.code(204).send();
  });
}
