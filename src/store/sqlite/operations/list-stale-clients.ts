// Clients that have subscriptions and were not seen for long, those longest away first.

import type { Database } from "../database.ts";
import type { ListStaleClients } from "../protocol.ts";

/** A client counts as seen when its latest subscription was made; a row without a time says nothing. */
const SELECT_STALE_CLIENTS = `
SELECT DISTINCT clientid FROM mqtt_sub AS old
WHERE last_seen < ?1
  AND NOT EXISTS (SELECT 1 FROM mqtt_sub AS other
                  WHERE other.clientid = old.clientid AND (other.last_seen >= ?1 OR other.last_seen IS NULL))
ORDER BY last_seen LIMIT ?2`;

export function listStaleClients(database: Database, { seenBefore, limit }: ListStaleClients): string[] {
  return database.rows<[string]>(SELECT_STALE_CLIENTS, seenBefore, limit).map(([clientId]) => clientId);
}
