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

/** Throws `ApiError` 403. */
function checkOrigin({ method, url, headers }: FastifyRequest, origins: readonly string[]): void {
  const { origin, host, "sec-fetch-site": site } = headers;
  if (origin !== undefined && origins.includes(origin)) return;
  // A page of another site can send a form with the credentials that its browser remembers.
  const mayChange = method !== "GET" && method !== "HEAD";
  const isForeignForm = mayChange && origin !== undefined && URL.parse(origin)?.host !== host;
  // Attempts with credentials that it gives would count against people of this machine.
  const isForeignCall = site === "cross-site" && url.startsWith("/api/");
  if (!isForeignForm && !isForeignCall) return;
  throw new ApiError(
    403,
    "FORBIDDEN",
    `Pages of ${origin ?? "other sites"} may not use this API: dashboard.cors names those that may.`,
  );
}
