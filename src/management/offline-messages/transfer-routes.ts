// Export of stored messages as lines of JSON, and import of such lines. Both are streamed: memory does not grow with what is stored.

import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { Logger } from "../../mqtt/logger.ts";
import type { Backlog } from "../../plugin/backlog.ts";
import type { Page } from "../../store/store.ts";
import { ApiError } from "../api-error.ts";
import { mayTakeLong } from "../app.ts";
import type { PluginManager } from "../plugins/plugin-manager.ts";
import { errors, exactly } from "../schemas.ts";
import { importLines } from "./import.ts";
import { toLine } from "./message-json.ts";
import { checkFilter, FilterText, OFFLINE_MESSAGES, tags } from "./request-parts.ts";
import { asked, runningBacklog } from "./running-backlog.ts";
import { Slots } from "./slots.ts";

const LINES = "application/x-ndjson";
const MAX_EXPORTS = 4;
const MAX_IMPORTS = 2;
/** Messages that an export reads at once, and bytes of their payloads. */
const EXPORT_PAGE = { maxMessages: 256, maxBytes: 1024 * 1024 };
/** Bytes that are sent at once, about. */
const CHUNK = 64 * 1024;

const Imported = Type.Object({
  lines: Type.Integer({ description: "Lines that were read, but for empty ones" }),
  stored: Type.Integer(),
  already_stored: Type.Integer(),
  expired: Type.Integer({ description: "Past their expiry, and not stored" }),
  failed: Type.Integer({ description: "Lines of which nothing is stored" }),
  errors: Type.Array(Type.Object({ line: Type.Integer(), message: Type.String() })),
});

export async function transferRoutes(app: FastifyInstance, plugins: PluginManager, logger: Logger): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();
  const exports = new Slots("exports", MAX_EXPORTS);
  const imports = new Slots("imports", MAX_IMPORTS);

  const exportMessages = {
    summary: "Stored messages as lines of JSON",
    tags,
    querystring: exactly({ topic: Type.Optional(FilterText) }),
    produces: [LINES],
    response: { 200: Type.Unsafe<Readable>({ type: "string" }), ...errors(400, 404, 503) },
  };
  // Without HEAD, which would read everything for nothing.
  const exportOptions = { schema: exportMessages, exposeHeadRoute: false };
  api.get(`${OFFLINE_MESSAGES}/export`, exportOptions, async ({ query: { topic = "#" } }, reply) => {
    const topicFilter = checkFilter(topic);
    const backlog = runningBacklog(plugins);
    const free = exports.take();
    try {
      // Before the answer begins, so that it can be an error.
      const first = await asked(backlog.readPage({ topicFilter, ...EXPORT_PAGE }));
      const stream = Readable.from(exported(backlog, topicFilter, first, logger), { objectMode: false });
      stream.once("close", free);
      reply.type(LINES).header("content-disposition", 'attachment; filename="offline-messages.jsonl"');
      return reply.send(stream);
    } catch (error) {
      free();
      throw error;
    }
  });

  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    // As it comes: it is read no faster than it can be stored.
    scope.addContentTypeParser(LINES, (_request, payload, done) => done(null, payload));
    const importMessages = {
      summary: "Store messages from lines of JSON, under their ids",
      description: `Lines as an export gives them, with content-type ${LINES}`,
      tags,
      consumes: [LINES],
      response: { 200: Imported, ...errors(400, 404, 415, 503) },
    };
    scope.post(`${OFFLINE_MESSAGES}/import`, { schema: importMessages }, async ({ raw, body }) => {
      const backlog = runningBacklog(plugins);
      if (body === undefined) throw new ApiError(400, "BAD_REQUEST", `Give lines of JSON, as ${LINES}.`);
      const free = imports.take();
      const done = mayTakeLong(raw.socket);
      try {
        const imported = await importLines(chunksOf(raw), backlog);
        const { errors: _, ...counts } = imported;
        logger.info(counts, "messages were imported");
        return imported;
      } catch (error) {
        if (!raw.readableAborted) throw error;
        throw new ApiError(400, "BAD_REQUEST", "The request was cut off.", { cause: error });
      } finally {
        free();
        done();
      }
    });
  });
}

/** Ends with the request; one that is not read to its end stays open for the answer. */
function chunksOf(raw: IncomingMessage): AsyncIterable<Buffer> {
  return { [Symbol.asyncIterator]: () => raw.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]() };
}

/** An error in the middle ends the connection, so that nobody takes a part for the whole. */
async function* exported(backlog: Backlog, topicFilter: string, first: Page, logger: Logger): AsyncGenerator<Buffer> {
  let lines: string[] = [];
  let bytes = 0;
  try {
    for (let page = first; ; ) {
      for (const { message } of page.messages) {
        const line = toLine(message);
        lines.push(line);
        bytes += line.length;
        if (bytes < CHUNK) continue;
        yield Buffer.from(lines.join(""));
        lines = [];
        bytes = 0;
      }
      if (page.next === undefined) break;
      page = await backlog.readPage({ topicFilter, ...EXPORT_PAGE, after: page.next });
    }
    if (lines.length > 0) yield Buffer.from(lines.join(""));
  } catch (error) {
    logger.warn({ err: error, topicFilter }, "an export of stored messages was cut off");
    throw error;
  }
}
