// Removes messages: the hashes first, then the entries that name them, so that what is left after a crash between both
// is an entry without its hash, which readers sweep.

import type { RedisCommand, Reply } from "../command.ts";
import type { IndexEntry, RedisContext } from "../context.ts";

/** Commands that remove the messages, in the order of the entries. */
export function removalCommands({ keys, isCluster }: RedisContext, entries: readonly IndexEntry[]): RedisCommand[] {
  if (entries.length === 0) return [];
  const hashes = entries.map(({ id62 }) => keys.message(id62));
  const commands: RedisCommand[] = isCluster ? hashes.map((key) => ["DEL", key]) : [["DEL", ...hashes]];
  return [...commands, ...entryRemovalCommands(keys, entries)];
}

/** Commands that remove the entries alone, one for each topic. */
export function entryRemovalCommands(keys: RedisContext["keys"], entries: readonly IndexEntry[]): RedisCommand[] {
  const idsByTopic = new Map<string, string[]>();
  for (const { topic, id62 } of entries) {
    const ids = idsByTopic.get(topic);
    if (ids === undefined) idsByTopic.set(topic, [id62]);
    else ids.push(id62);
  }
  return [...idsByTopic].map(([topic, ids]) => ["ZREM", keys.topic(topic), ...ids]);
}

/** The error of a removal, if there was one. A topic's key that holds something else has no entries to remove. */
export function removalError(replies: readonly Reply[]): Error | undefined {
  return replies.find((reply): reply is Error => reply instanceof Error && !reply.message.startsWith("WRONGTYPE"));
}

/** Removes messages and their entries; returns how many entries were there. Throws the error of Redis or the connection. */
export async function removeMessages(context: RedisContext, entries: readonly IndexEntry[]): Promise<number> {
  if (entries.length === 0) return 0;
  const commands = removalCommands(context, entries);
  const replies = await context.send(commands);
  const error = removalError(replies);
  if (error !== undefined) throw error;
  let removed = 0;
  for (const [at, [name]] of commands.entries())
    if (name === "ZREM" && !(replies[at] instanceof Error)) removed += Number(replies[at]);
  return removed;
}
