// The endpoints under /api/v5/offline_messages: what is stored by the plugin that runs.

import type { FastifyInstance } from "fastify";
import type { Logger } from "../../mqtt/logger.ts";
import type { PluginManager } from "../plugins/plugin-manager.ts";
import { messageRoutes } from "./message-routes.ts";
import { subscriptionRoutes } from "./subscription-routes.ts";
import { transferRoutes } from "./transfer-routes.ts";

export async function offlineMessageRoutes(
  app: FastifyInstance,
  { plugins, logger }: { readonly plugins: PluginManager; readonly logger: Logger },
): Promise<void> {
  await messageRoutes(app, plugins, logger);
  await subscriptionRoutes(app, plugins);
  await transferRoutes(app, plugins, logger);
}
