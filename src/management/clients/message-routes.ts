// What waits for a client and what is in flight to it, a part at a time. Looking changes nothing.

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";
import { errors, exactly, oneOf } from "../schemas.ts";
import { CLIENTS, type ClientsBroker, clientTags, OfClient, sessionOf } from "./client-routes.ts";
import { inflightPart, MessagesPart, mqueuePart } from "./session-messages.ts";

const MAX_MESSAGES = 1000;
const DEFAULT_MESSAGES = 100;
const MIB = 1024 * 1024;
const MAX_PAYLOAD_BYTES = 4 * MIB;

const Query = exactly({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_MESSAGES, default: DEFAULT_MESSAGES })),
  position: Type.Optional(Type.String({ description: "meta.position of the answer before", default: "none" })),
  payload: Type.Optional(oneOf(["none", "base64", "plain"], { default: "base64" })),
  max_payload_bytes: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: MAX_PAYLOAD_BYTES,
      default: MIB,
      description: "Of all messages of the answer; the first is given whatever its size",
    }),
  ),
});

/** Throws `ApiError` 404 for a client without a session, 400 for a payload that is no text. */
export async function messageRoutes(app: FastifyInstance, broker: ClientsBroker): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();
  const response = { 200: MessagesPart, ...errors(400, 404) };
  const request = (query: Static<typeof Query>) => ({
    limit: query.limit ?? DEFAULT_MESSAGES,
    position: query.position ?? "none",
    payload: query.payload ?? "base64",
    maxPayloadBytes: query.max_payload_bytes ?? MIB,
  });

  const queued = {
    summary: "Messages that wait in a session",
    tags: clientTags,
    params: OfClient,
    querystring: Query,
    response,
  };
  api.get(`${CLIENTS}/:clientid/mqueue_messages`, { schema: queued }, async ({ params, query }) => {
    return mqueuePart(sessionOf(broker, params.clientid), request(query));
  });

  const inflight = {
    summary: "Messages that were sent to a client and are not acknowledged",
    tags: clientTags,
    params: OfClient,
    querystring: Query,
    response,
  };
  api.get(`${CLIENTS}/:clientid/inflight_messages`, { schema: inflight }, async ({ params, query }) => {
    return inflightPart(sessionOf(broker, params.clientid), request(query));
  });
}
