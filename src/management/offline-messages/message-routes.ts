// The endpoints of stored messages: topics, messages, one message, and their removal.

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { Type } from "typebox";
import type { Logger } from "../../mqtt/logger.ts";
import type { Message } from "../../mqtt/message.ts";
import type { TopicSummary } from "../../store/store.ts";
import { ApiError } from "../api-error.ts";
import type { PluginManager } from "../plugins/plugin-manager.ts";
import { errors, exactly, NoContent, oneOf } from "../schemas.ts";
import { ENCODINGS, ShownMessage, toShown } from "./message-json.ts";
import { messagesPage, topicsPage } from "./pages.ts";
import {
  BAD_POSITION,
  checkFilter,
  checkMessageId,
  FilterText,
  fromPosition,
  Limit,
  OFFLINE_MESSAGES,
  PAGE_BYTES,
  PositionText,
  TIME_LIMIT,
  tags,
  toPosition,
} from "./request-parts.ts";
import { asked, runningBacklog } from "./running-backlog.ts";
import { Slots } from "./slots.ts";

/** EMQX's. */
const DEFAULT_PAYLOAD_BYTES = 1024 * 1024;
const MAX_PURGES = 2;
/** Messages that one request removes, unless it says otherwise, and at most. */
const PURGE_LIMIT = 100_000;
const MAX_PURGE_LIMIT = 1_000_000;

const Topic = Type.Object({
  topic: Type.String(),
  messages: Type.Integer(),
  bytes: Type.Integer({ description: "of payload" }),
  oldest_publish_at: Type.Optional(Type.Integer({ description: "of the first message, in ms since the epoch" })),
  newest_publish_at: Type.Optional(Type.Integer({ description: "of the last message" })),
});
const Meta = Type.Object({
  limit: Type.Integer(),
  position: Type.Optional(Type.String({ description: "Where the next page begins; absent: there is none" })),
});
const MessagesMeta = Type.Object({
  limit: Type.Integer(),
  start: Type.Optional(Type.String({ description: "The position of the first message" })),
  position: Type.Optional(Type.String()),
});
const PayloadOption = oneOf(["none", ...ENCODINGS], { default: "base64" });
const Purge = exactly({
  topic: Type.String({ description: "A topic, or a filter with + and #" }),
  dry_run: Type.Boolean({ default: true, description: "Count only, remove nothing" }),
  limit: Type.Integer({ minimum: 1, maximum: MAX_PURGE_LIMIT, default: PURGE_LIMIT }),
});
const Purged = Type.Object({
  dry_run: Type.Boolean(),
  messages: Type.Integer({ description: "Counted, or removed" }),
  bytes: Type.Integer({ description: "of payload" }),
  complete: Type.Boolean({ description: "false: there are more, which another request counts or removes" }),
});
const OfMessage = Type.Object({ msgid: Type.String() });
const TopicOfMessage = Type.Optional(
  Type.String({ description: "The message's topic: in MySQL, where msgid has no index" }),
);

export async function messageRoutes(app: FastifyInstance, plugins: PluginManager, logger: Logger): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();
  const purges = new Slots("purges", MAX_PURGES);

  const listTopics = {
    summary: "Topics that have stored messages",
    tags,
    querystring: exactly({
      topic: Type.Optional(FilterText),
      limit: Limit,
      position: Type.Optional(PositionText),
    }),
    response: { 200: Type.Object({ data: Type.Array(Topic), meta: Meta }), ...errors(400, 404, 503) },
  };
  api.get(`${OFFLINE_MESSAGES}/topics`, { schema: listTopics }, async ({ query: { topic = "#", limit, position } }) => {
    const backlog = runningBacklog(plugins);
    const request = { topicFilter: checkFilter(topic), limit, after: fromPosition(position) };
    const { topics, next } = await topicsPage(backlog, request);
    const meta = { limit, ...(next === undefined ? undefined : { position: toPosition(next) }) };
    return { data: topics.map(summaryToJson), meta };
  });

  const listMessages = {
    summary: "Stored messages, in the order of publishing",
    tags,
    querystring: exactly({
      topic: Type.Optional(FilterText),
      limit: Limit,
      position: Type.Optional(PositionText),
      payload: PayloadOption,
      max_payload_bytes: Type.Integer({ minimum: 1, maximum: PAGE_BYTES, default: DEFAULT_PAYLOAD_BYTES }),
    }),
    response: { 200: Type.Object({ data: Type.Array(ShownMessage), meta: MessagesMeta }), ...errors(400, 404, 503) },
  };
  api.get(`${OFFLINE_MESSAGES}/messages`, { schema: listMessages }, async ({ query }) => {
    const { topic = "#", limit, position, payload, max_payload_bytes } = query;
    const backlog = runningBacklog(plugins);
    if (position !== undefined && !backlog.isPosition(position)) {
      throw new ApiError(400, "BAD_REQUEST", `${BAD_POSITION}.`);
    }
    const maxPayloadBytes = payload === "none" ? PAGE_BYTES : max_payload_bytes;
    const request = { topicFilter: checkFilter(topic), limit, after: position, maxPayloadBytes };
    const { messages, start, next } = await messagesPage(backlog, request);
    const meta = {
      limit,
      ...(start === undefined ? undefined : { start }),
      ...(next === undefined ? undefined : { position: next }),
    };
    return { data: messages.map((message) => toShown(message, payload)), meta };
  });

  const messageOf = async (msgid: string, topic: string | undefined): Promise<Message> => {
    const id = checkMessageId(msgid);
    const message = await asked(runningBacklog(plugins).readMessage(id, topic));
    if (message === undefined) throw notStored(msgid);
    return message;
  };

  const getMessage = {
    summary: "A stored message",
    tags,
    params: OfMessage,
    querystring: exactly({ topic: TopicOfMessage, payload: PayloadOption }),
    response: { 200: ShownMessage, ...errors(400, 404, 503) },
  };
  api.get(`${OFFLINE_MESSAGES}/messages/:msgid`, { schema: getMessage }, async ({ params, query }) =>
    toShown(await messageOf(params.msgid, query.topic), query.payload),
  );

  const getPayload = {
    summary: "The payload of a stored message, as it is",
    tags,
    params: OfMessage,
    querystring: exactly({ topic: TopicOfMessage }),
    response: { 200: Type.Unsafe<Buffer>({ type: "string", format: "binary" }), ...errors(400, 404, 503) },
  };
  api.get(`${OFFLINE_MESSAGES}/messages/:msgid/payload`, { schema: getPayload }, async ({ params, query }, reply) => {
    const { id, payload } = await messageOf(params.msgid, query.topic);
    // Whatever it is, no browser should take it for a page of this server.
    reply.type("application/octet-stream").header("x-content-type-options", "nosniff");
    reply.header("content-disposition", `attachment; filename="${id}"`);
    return reply.send(Buffer.from(payload.buffer, payload.byteOffset, payload.length));
  });

  const deleteMessage = {
    summary: "Remove a stored message",
    tags,
    params: OfMessage,
    querystring: exactly({ topic: TopicOfMessage }),
    response: { 204: NoContent, ...errors(400, 404, 503) },
  };
  api.delete(`${OFFLINE_MESSAGES}/messages/:msgid`, { schema: deleteMessage }, async ({ params, query }, reply) => {
    const id = checkMessageId(params.msgid);
    if (!(await asked(runningBacklog(plugins).remove(id, query.topic)))) throw notStored(params.msgid);
    return reply.code(204).send();
  });

  const purge = {
    summary: "Remove all stored messages that match a filter, or count them",
    tags,
    body: Purge,
    response: { 200: Purged, ...errors(400, 404, 503) },
  };
  api.post(`${OFFLINE_MESSAGES}/purge`, { schema: purge }, async (request) => {
    const { topic, dry_run, limit } = request.body;
    const topicFilter = checkFilter(topic);
    const backlog = runningBacklog(plugins);
    const mayGoOn = whileWanted(request);
    const free = purges.take();
    try {
      if (dry_run) return { dry_run, ...(await asked(backlog.count(topicFilter, mayGoOn))) };
      const purged = await asked(backlog.purge(topicFilter, limit, mayGoOn));
      logger.info({ topicFilter, ...purged }, "stored messages were purged");
      return { dry_run, ...purged };
    } finally {
      free();
    }
  });
}

function notStored(msgid: string): ApiError {
  return new ApiError(404, "NOT_FOUND", `No message ${msgid} is stored.`);
}

/** Until the time of a request is over, or nobody waits for its answer. */
function whileWanted({ raw }: FastifyRequest): () => boolean {
  const end = performance.now() + TIME_LIMIT;
  return () => performance.now() < end && !raw.socket.destroyed;
}

function summaryToJson({ topic, messages, bytes, oldest, newest }: TopicSummary) {
  return {
    topic,
    messages,
    bytes,
    ...(oldest === undefined ? undefined : { oldest_publish_at: oldest }),
    ...(newest === undefined ? undefined : { newest_publish_at: newest }),
  };
}
