// Removes messages that match a filter, oldest first, up to a limit.

import type { RedisContext } from "../context.ts";
import { type EntryPosition, readEntries } from "./read-entries.ts";
import { removeMessages } from "./remove-messages.ts";

/** Messages in one round trip. */
const STEP = 512;

/** How many went; fewer than the limit: none is left. Throws the error of Redis or the connection. */
export async function purge(context: RedisContext, topicFilter: string, limit: number): Promise<number> {
  let removed = 0;
  let after: EntryPosition | undefined;
  for (;;) {
    const { entries, complete } = await readEntries(context, topicFilter, after);
    for (let at = 0; at < entries.length && removed < limit; ) {
      const step = entries.slice(at, at + Math.min(STEP, limit - removed));
      at += step.length;
      removed += await removeMessages(context, step);
    }
    after = entries.at(-1);
    if (complete || after === undefined || removed >= limit) return removed;
  }
}
