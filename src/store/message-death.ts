// When a stored message ends.

import type { Message } from "../mqtt/message.ts";

/** By its age (`messageTtl` in seconds, 0: never) or by its own expiry, in ms since the epoch. */
export function deathOf(
  { timestamp, expiresAt }: Pick<Message, "timestamp" | "expiresAt">,
  messageTtl: number,
): number {
  const byAge = messageTtl > 0 ? timestamp + messageTtl * 1_000 : Number.POSITIVE_INFINITY;
  return Math.min(byAge, expiresAt ?? Number.POSITIVE_INFINITY);
}
