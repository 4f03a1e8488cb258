// What the server tells browsers, so that pages of other sites can neither show it in a frame nor act through it.

import cors from "@fastify/cors";
import helmet from "@fastify/helmet";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { ApiError } from "./api-error.ts";

const DAY = 86_400;

/** Before the first route. `origins`: whose pages may use the API, as browsers write them. */
export function guardBrowsers(app: FastifyInstance, origins: readonly string[]): void {
  app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { "default-src": ["'none'"], "frame-ancestors": ["'none'"] },
    },
    frameguard: { action: "deny" },
    // It would be for all ports of this machine.
    hsts: false,
  });
  if (origins.length > 0) {
    const methods = ["GET", "HEAD", "POST", "PUT", "DELETE"];
    app.register(cors, { origin: [...origins], methods, maxAge: DAY });
  }
  app.addHook("onRequest", async (request, reply) => {
    reply.header("cache-control", "no-store");
    checkOrigin(request, origins);
  });
}

/** A page of another site can send a form with the credentials that its browser remembers. Throws `ApiError` 403. */
function checkOrigin({ method, url, headers }: FastifyRequest, origins: readonly string[]): void {
  const { origin, host, "sec-fetch-site": site } = headers;
  // Attempts with credentials that a page of another site gives would count against people of this machine.
  const isForeign =
    site === "cross-site" && url.startsWith("/api/") && (origin === undefined || !origins.includes(origin));
  if (!isForeign && (origin === undefined || method === "GET" || method === "HEAD")) return;
  if (!isForeign && (origins.includes(origin ?? "") || URL.parse(origin ?? "")?.host === host)) return;
  throw new ApiError(
    403,
    "FORBIDDEN",
    `Pages of ${origin ?? "other sites"} may not use this API: dashboard.cors names those that may.`,
  );
}
