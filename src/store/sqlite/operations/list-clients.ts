// Clients that have subscriptions, in the order of their bytes.

import type { Database } from "../database.ts";
import type { ListClients } from "../protocol.ts";

const SELECT_CLIENTS = "SELECT DISTINCT clientid FROM mqtt_sub WHERE clientid > ? ORDER BY clientid LIMIT ?";

export function listClients(database: Database, { after, limit }: ListClients): string[] {
  return database.rows<[string]>(SELECT_CLIENTS, after, limit).map(([clientId]) => clientId);
}
