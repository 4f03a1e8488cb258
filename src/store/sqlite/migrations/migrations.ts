// The store's numbered migrations. What has been released is never changed, only added to.

import { FIRST_TABLES } from "./0001-first-tables.ts";
import { PACKET_IDS } from "./0002-packet-ids.ts";

/** Migration n is at index n - 1. */
export const MIGRATIONS: readonly string[] = [FIRST_TABLES, PACKET_IDS];
