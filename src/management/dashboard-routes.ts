// The dashboard: files that are built beforehand, with a content-security policy of their own.

import fastifyStatic from "@fastify/static";
import type { FastifyInstance } from "fastify";
import { ApiError } from "./api-error.ts";

export interface DashboardParts {
  /** Where its files lie; absent: it is not built. */
  readonly folder?: string | undefined;
  /** Ports of MQTT over WebSocket and over secure WebSocket, to which the page may connect. */
  readonly webSocketPorts: () => readonly number[];
}

/** What has a hash in its name never changes. */
const HASHED = /\/assets\//;
const YEAR = 365 * 86_400;

/** Nobody is asked for a key: the page has nothing that is not public. */
export async function dashboardRoutes(app: FastifyInstance, { folder, webSocketPorts }: DashboardParts): Promise<void> {
  if (folder === undefined) {
    app.get("/", { schema: { hide: true } }, async () => {
      throw new ApiError(
        404,
        "NOT_FOUND",
        "The dashboard is not built: `make dashboard` does that. The API is below /api/v5.",
      );
    });
    return;
  }
  app.addHook("onSend", async (request, reply) => {
    if (!String(reply.getHeader("content-type")).startsWith("text/html")) return;
    reply.header("content-security-policy", policy(request.hostname, webSocketPorts()));
  });
  await app.register(fastifyStatic, {
    root: folder,
    wildcard: false,
    preCompressed: true,
    // Set here, not by the library.
    cacheControl: false,
    setHeaders: (reply, path) => {
      reply.header("cache-control", HASHED.test(path) ? `public, max-age=${YEAR}, immutable` : "no-cache");
    },
  });
}

/** Scripts come from files only. Element Plus sets styles of elements. */
function policy(hostname: string, webSocketPorts: readonly number[]): string {
  const host = /^[\w.:[\]-]+$/.test(hostname) ? hostname : "localhost";
  const sockets = webSocketPorts.flatMap((port) => [`ws://${host}:${port}`, `wss://${host}:${port}`]);
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self'",
    `connect-src ${["'self'", ...sockets].join(" ")}`,
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join("; ");
}
