// Notes when clients were last seen, on all their subscriptions.

import type { Database } from "../database.ts";
import type { TouchSubscriptions } from "../protocol.ts";

const TOUCH_SUBSCRIPTIONS = "UPDATE mqtt_sub SET last_seen = ?1 WHERE clientid = ?2 AND coalesce(last_seen, 0) < ?1";

export function touchSubscriptions(database: Database, { clientIds, seenAt }: TouchSubscriptions): void {
  for (const clientId of clientIds) database.statement(TOUCH_SUBSCRIPTIONS).run(seenAt, clientId);
}
