// What the plugin that runs has stored, or the answer why there is nothing to ask; and what the store's errors mean to who asks.

import type { Backlog } from "../../plugin/backlog.ts";
import { ApiError } from "../api-error.ts";
import type { PluginManager } from "../plugins/plugin-manager.ts";

/** Throws `ApiError`: 404 when nothing is stored, 501 when the plugin cannot show it. */
export function runningBacklog(plugins: PluginManager): Backlog {
  const engine = plugins.running?.engine;
  if (engine === undefined) {
    throw new ApiError(404, "NOT_FOUND", "No plugin runs that stores messages: start one with omp plugins start.");
  }
  if (engine.stores === undefined) {
    const advice = "enable sqlite, redis or mysql in its configuration";
    throw new ApiError(404, "NOT_FOUND", `The plugin that runs stores no messages: ${advice}.`);
  }
  if (engine.backlog === undefined) {
    const message = "The plugin that runs cannot show what it stores: install a newer release of it.";
    throw new ApiError(501, "NOT_SUPPORTED", message);
  }
  return engine.backlog;
}

/** Rejects with `ApiError` for the errors of a store. */
export async function asked<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw apiErrorOf(error);
  }
}

/** By their codes: a package brings error classes of its own. Other errors are given back as they are. */
export function apiErrorOf(error: unknown): unknown {
  const { code, message } = error as { readonly code?: unknown; readonly message: string };
  if (code === "STORE_UNAVAILABLE") return new ApiError(503, "SERVICE_UNAVAILABLE", message, { cause: error });
  if (code === "STORE_TOPIC_NEEDED") return new ApiError(400, "BAD_REQUEST", message, { cause: error });
  return error;
}
