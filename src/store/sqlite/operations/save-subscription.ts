// Adds or replaces a subscription, seen now.

import type { Database } from "../database.ts";
import type { SaveSubscription } from "../protocol.ts";

const UPSERT_SUBSCRIPTION = `
INSERT INTO mqtt_sub
  (clientid, topic, qos, no_local, retain_as_published, retain_handling, subscription_identifier, last_seen)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (clientid, topic) DO UPDATE SET
  qos = excluded.qos, no_local = excluded.no_local, retain_as_published = excluded.retain_as_published,
  retain_handling = excluded.retain_handling, subscription_identifier = excluded.subscription_identifier,
  last_seen = excluded.last_seen`;

export function saveSubscription(database: Database, { subscription, seenAt }: SaveSubscription): void {
  database
    .statement(UPSERT_SUBSCRIPTION)
    .run(
      subscription.clientId,
      subscription.topicFilter,
      subscription.qos,
      Number(subscription.noLocal),
      Number(subscription.retainAsPublished),
      subscription.retainHandling,
      subscription.subscriptionIdentifier ?? null,
      seenAt,
    );
}
