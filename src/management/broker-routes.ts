// What EMQX's API tells of the broker and does with it: clients, subscriptions, topics, publishing, the node.

import type { FastifyInstance } from "fastify";
import type { Broker } from "../broker/broker.ts";
import { BrokerBusyError, BrokerDatabaseError, BrokerStateError } from "../broker/errors.ts";
import { ApiError } from "./api-error.ts";
import { clientRoutes } from "./clients/client-routes.ts";
import { messageRoutes } from "./clients/message-routes.ts";
import { subscriptionRoutes } from "./clients/subscription-routes.ts";
import { topicRoutes } from "./clients/topic-routes.ts";
import { nodeRoutes } from "./node/node-routes.ts";
import { publishRoutes } from "./publish/publish-routes.ts";

export type ManagedBroker = Pick<Broker, "metrics" | "options" | "clients" | "publishes">;

/** Where the broker stops, is busy, or its disk does not take a change in time, the answer is 503. */
export async function brokerRoutes(app: FastifyInstance, broker: ManagedBroker): Promise<void> {
  await app.register(async (routes) => {
    routes.setErrorHandler((error) => {
      throw isTemporary(error) ? unavailable(error) : error;
    });
    await clientRoutes(routes, broker);
    await messageRoutes(routes, broker);
    await subscriptionRoutes(routes, broker);
    await topicRoutes(routes, broker);
    await publishRoutes(routes, broker);
    await nodeRoutes(routes, broker);
  });
}

function isTemporary(error: unknown): error is BrokerStateError | BrokerDatabaseError | BrokerBusyError {
  return [BrokerStateError, BrokerDatabaseError, BrokerBusyError].some((type) => error instanceof type);
}

function unavailable(error: Error): ApiError {
  return new ApiError(503, "SERVICE_UNAVAILABLE", error.message, { cause: error });
}
