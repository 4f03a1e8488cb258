// GET /api-docs: the API as an OpenAPI document, made of the schemas of its routes.

import swagger from "@fastify/swagger";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { version } from "../mqtt/version.ts";

const PATHS = ["/api-docs", "/api-docs/swagger.json"];

/** Before the first route: what is registered later is in the document. */
export function documented(app: FastifyInstance): void {
  app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "omp: offline messages for MQTT", version: version() },
      components: {
        securitySchemes: {
          basicAuth: { type: "http", scheme: "basic", description: "An API key and its secret" },
          bearerAuth: { type: "http", scheme: "bearer", description: "The token of POST /login" },
        },
      },
      security: [{ basicAuth: [] }, { bearerAuth: [] }],
    },
  });
}

/** Nobody is asked for a key: the document is the same everywhere. */
export async function openApiRoutes(app: FastifyInstance): Promise<void> {
  for (const path of PATHS) {
    app.get(
      path,
      {
        schema: {
          summary: "This document",
          tags: ["API"],
          security: [],
          response: { 200: Type.Object({}, { additionalProperties: true }) },
        },
      },
      async () => app.swagger(),
    );
  }
}
