// Removes messages that are past their own expiry or older than message_ttl: one bounded step.

import { arrivedText } from "../arrived.ts";
import type { Database } from "../database.ts";
import type { Expire, SweepStep } from "../protocol.ts";
import { REMOVAL_COLUMNS, type Removal, removeMessage } from "./remove-message.ts";

/** Messages looked at in one step. */
const MESSAGES_PER_STEP = 512;

const SELECT_EXPIRED = `
SELECT ${REMOVAL_COLUMNS} FROM mqtt_msg
WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?`;

const SELECT_OLDEST = `SELECT ${REMOVAL_COLUMNS}, arrived FROM mqtt_msg WHERE id > ? ORDER BY id LIMIT ?`;

export function expire(database: Database, { now, limit }: Expire): SweepStep {
  const room = Math.min(limit, MESSAGES_PER_STEP);
  const expired = database.rows<Removal>(SELECT_EXPIRED, now, room);
  for (const message of expired) removeMessage(database, message);
  if (expired.length >= room) return { removed: room, after: "" };

  const { messageTtl } = database.options;
  if (messageTtl === 0) return { removed: expired.length };
  const aged = deleteAged(database, now, messageTtl, room - expired.length);
  const removed = expired.length + aged.removed;
  return aged.more ? { removed, after: "" } : { removed };
}

/**
 * `arrived` rises with the row id, so the aged messages are the first ones. Where the clock was ahead for a while,
 * messages from the future lie among them: those are passed over, and the place behind them is kept for the next step.
 */
function deleteAged(database: Database, now: number, ttl: number, room: number): { removed: number; more: boolean } {
  const oldestKept = arrivedText(now - ttl * 1000);
  const present = arrivedText(now);
  const rows = database.rows<[...Removal, arrived: string]>(SELECT_OLDEST, database.agedUpTo, room);
  let removed = 0;
  for (const [id, topic, bytes, arrived] of rows) {
    if (arrived < oldestKept) {
      removeMessage(database, [id, topic, bytes]);
      removed++;
    } else if (arrived <= present) {
      database.agedUpTo = 0;
      return { removed, more: false };
    }
    database.agedUpTo = id;
  }
  const more = rows.length >= room;
  if (!more) database.agedUpTo = 0;
  return { removed, more };
}
