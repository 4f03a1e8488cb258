// Removes a subscription, if it is stored.

import type { Database } from "../database.ts";
import type { DeleteSubscription } from "../protocol.ts";

const DELETE_SUBSCRIPTION = "DELETE FROM mqtt_sub WHERE clientid = ? AND topic = ?";

export function deleteSubscription(database: Database, { clientId, topicFilter }: DeleteSubscription): void {
  database.statement(DELETE_SUBSCRIPTION).run(clientId, topicFilter);
}
