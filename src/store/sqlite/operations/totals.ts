// What is stored in all.

import type { StoreTotals } from "../../store.ts";
import type { Database } from "../database.ts";

const SELECT_TOTALS = "SELECT coalesce(sum(messages), 0), coalesce(sum(bytes), 0) FROM mqtt_topic";

/** From the counters in memory, unless another program has written. */
export function totals(database: Database): StoreTotals {
  const { counters } = database;
  if (!database.changedByOthers) return { messages: counters.messages, bytes: counters.bytes };
  const [messages, bytes] = database.row<[number, number]>(SELECT_TOTALS) ?? [0, 0];
  return { messages, bytes };
}
