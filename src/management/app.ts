// The HTTP application that API and control socket have in common: limits, and errors told as EMQX's API tells them.

import { createServer, type Server } from "node:https";
import type { Duplex } from "node:stream";
import type { TlsOptions } from "node:tls";
import { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import type { Logger } from "../mqtt/logger.ts";
import { RepeatedWarning } from "../mqtt/repeated-warning.ts";
import { ApiError } from "./api-error.ts";
import { exactly } from "./schemas.ts";
import { schemaErrorFormatter, validatorCompiler } from "./validation.ts";

/** Bytes of a request's body, unless a route says otherwise. */
const BODY_LIMIT = 1024 * 1024;
/** Bytes of a request's headers. */
const MAX_HEADER_BYTES = 16 * 1024;
/** Node's code for a request that takes too long. */
const REQUEST_TIMEOUT = "ERR_HTTP_REQUEST_TIMEOUT";
/** How often requests that take too long are looked for, in ms. */
const REQUEST_CHECK = 1000;
/** A connection on which nothing happens is closed after so long, in ms. */
const IDLE_TIMEOUT = 60_000;

const NO_PARAMETERS = exactly({});

/** Knows no path yet. `requestTimeout` in seconds. */
export function makeApp(requestTimeout: number, logger: Logger): FastifyInstance {
  const timeout = requestTimeout * 1000;
  const app = fastify({
    bodyLimit: BODY_LIMIT,
    requestTimeout: timeout,
    connectionTimeout: IDLE_TIMEOUT,
    keepAliveTimeout: IDLE_TIMEOUT,
    routerOptions: { maxParamLength: 1024, ignoreTrailingSlash: true },
    frameworkErrors: ({ statusCode = 400, message }, _request, reply: FastifyReply) => {
      reply.code(statusCode).send({ code: "BAD_REQUEST", message });
    },
    clientErrorHandler: refuseConnection,
    schemaErrorFormatter,
    http: {
      maxHeaderSize: MAX_HEADER_BYTES,
      // With more for the headers than for the whole, Node takes each for the other.
      headersTimeout: timeout,
      connectionsCheckingInterval: Math.min(REQUEST_CHECK, timeout),
    },
  });
  const unavailable = new RepeatedWarning(logger, "an HTTP request could not be answered now", () => Date.now());
  app.setValidatorCompiler(validatorCompiler);
  // Schemas of answers describe them; nothing is left out of an answer because its schema does not know it.
  app.setSerializerCompiler(() => JSON.stringify);
  app.addHook("onRoute", ({ schema }) => {
    if (schema !== undefined) schema.querystring ??= NO_PARAMETERS;
  });
  const methods = methodsByPath(app);
  app.setNotFoundHandler((request, reply) => notFound(request, reply, methods));
  // Before a body is read, which nobody wants.
  app.addHook("preParsing", async (request, reply) => {
    if (request.is404) await notFound(request, reply, methods);
  });
  app.setErrorHandler((error: FastifyError | ApiError, { method, url }, reply) => {
    if (error instanceof ApiError && error.status < 500) {
      return reply.code(error.status).send(error.body);
    }
    const status = error instanceof ApiError ? error.status : (error.statusCode ?? 500);
    if (status < 500) return reply.code(status).send({ code: "BAD_REQUEST", message: error.message });
    if (status === 503) unavailable.warn({ err: error, method, url });
    else logger.error({ err: error, method, url }, "an HTTP request could not be answered");
    const known = error instanceof ApiError ? error : undefined;
    const message = known?.message ?? "The server failed: its log says why.";
    return reply.code(status).send({ code: known?.code ?? "INTERNAL_ERROR", message });
  });
  return app;
}

/** Serves the same over TLS. `requestTimeout` in seconds. */
export function secureServer(app: FastifyInstance, tls: TlsOptions, requestTimeout: number): Server {
  const timeout = requestTimeout * 1000;
  const server = createServer(
    {
      ...tls,
      requestTimeout: timeout,
      headersTimeout: timeout,
      keepAliveTimeout: IDLE_TIMEOUT,
      maxHeaderSize: MAX_HEADER_BYTES,
      connectionsCheckingInterval: Math.min(REQUEST_CHECK, timeout),
    },
    (request, response) => app.routing(request, response),
  );
  server.setTimeout(IDLE_TIMEOUT);
  server.on("clientError", refuseConnection);
  return server;
}

/** Connections whose request may take longer than others. */
const patient = new WeakSet<Duplex>();

/** Lets the request of a connection come as slowly as it does, until the function that is returned is called; silence still ends it. */
export function mayTakeLong(socket: Duplex): () => void {
  patient.add(socket);
  return () => patient.delete(socket);
}

/** What is no HTTP, too large or too slow. */
function refuseConnection({ code }: { code?: string }, socket: Duplex): void {
  if (!socket.writable || (code === REQUEST_TIMEOUT && patient.has(socket))) return;
  const [status, message] = CONNECTION_ERRORS[code ?? ""] ?? ["400 Bad Request", "This is no HTTP request."];
  const body = JSON.stringify({ code: "BAD_REQUEST", message });
  // Who does not close its side would keep the connection.
  socket.once("finish", () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}

const CONNECTION_ERRORS: Readonly<Record<string, readonly [status: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "The request's header is too large."],
  [REQUEST_TIMEOUT]: ["408 Request Timeout", "The request was not complete in time."],
};

/** Which methods the paths take that are registered from now on; their parts are words, or parameters. */
function methodsByPath(app: FastifyInstance): (path: string) => readonly string[] {
  const routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];
  app.addHook("onRoute", ({ method, url }) => {
    if (url === "*") return;
    const parts = url.split("/").map((part) => (part.startsWith(":") ? "[^/]+" : part));
    routes.push({ pattern: new RegExp(`^${parts.join("/")}/?$`), methods: [method].flat() });
  });
  return (path) => [...new Set(routes.flatMap(({ pattern, methods }) => (pattern.test(path) ? methods : [])))];
}

function notFound(
  { method, url }: FastifyRequest,
  reply: FastifyReply,
  methodsOf: (path: string) => readonly string[],
): FastifyReply {
  const methods = methodsOf(url.replace(/\?.*/, ""));
  if (methods.length === 0)
    return reply.code(404).send({ code: "NOT_FOUND", message: "There is nothing at this path." });
  const allow = methods.join(", ");
  return reply
    .code(405)
    .header("allow", allow)
    .send({ code: "METHOD_NOT_ALLOWED", message: `${method} is no method of this path: ${allow}.` });
}
