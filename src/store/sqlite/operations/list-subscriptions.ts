// The stored subscriptions of one client.

import type { QoS } from "../../../mqtt/message.ts";
import type { Subscription } from "../../../mqtt/subscription.ts";
import type { Database } from "../database.ts";

const SELECT_SUBSCRIPTIONS = `
SELECT topic, qos, no_local, retain_as_published, retain_handling, subscription_identifier
FROM mqtt_sub WHERE clientid = ? ORDER BY topic`;

type Row = [
  topic: string,
  qos: number,
  noLocal: number | null,
  retainAsPublished: number | null,
  retainHandling: number | null,
  subscriptionIdentifier: number | null,
];

/** Where a row says nothing: No Local, Retain As Published, Retain Handling 0, as for stores without these columns. */
export function listSubscriptions(database: Database, clientId: string): Subscription[] {
  return database
    .rows<Row>(SELECT_SUBSCRIPTIONS, clientId)
    .map(([topicFilter, qos, noLocal, retainAsPublished, retainHandling, subscriptionIdentifier]) => ({
      clientId,
      topicFilter,
      qos: qos as QoS,
      noLocal: noLocal !== 0,
      retainAsPublished: retainAsPublished !== 0,
      retainHandling: (retainHandling ?? 0) as 0 | 1 | 2,
      ...(subscriptionIdentifier === null ? undefined : { subscriptionIdentifier }),
    }));
}
