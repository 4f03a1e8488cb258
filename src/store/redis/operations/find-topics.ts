// Finds topics that only EMQX's plugin has stored to, which keeps no index of them, by walking all keys once.

import { membersOf, type Send, scoredMembers } from "../command.ts";
import type { RedisContext } from "../context.ts";

/** Keys that one step looks at, and steps for each server: enough for ten million keys. */
const KEYS_PER_STEP = 1_000;
const MAX_STEPS = 10_000;
/** What SCAN's patterns give a meaning. */
const PATTERN_SIGNS = /[\\*?[\]]/g;
/** Of the user's rights, and where the command was renamed or switched off for everybody. */
const REFUSALS = /^(NOPERM|ERR unknown command)/;

export type SearchOutcome = "done" | "cut short" | "not allowed";

/** Puts the topics that a server has into the index. Throws the error of Redis or the connection. */
export async function findTopics(context: RedisContext, server: Send, signal: AbortSignal): Promise<SearchOutcome> {
  const { keys } = context;
  const pattern = `${keys.messagePrefix.replace(PATTERN_SIGNS, "\\$&")}*`;
  let cursor = "0";
  for (let step = 0; step < MAX_STEPS; step++) {
    if (signal.aborted) return "cut short";
    const [reply] = await server([["SCAN", cursor, "MATCH", pattern, "COUNT", KEYS_PER_STEP, "TYPE", "zset"]]);
    if (reply instanceof Error && REFUSALS.test(reply.message)) return "not allowed";
    if (reply instanceof Error) throw reply;
    const [next = null, found = null] = reply as [Buffer | null, Buffer[] | null];
    const topicKeys = membersOf(found).filter((key) => key !== keys.topics);
    await addTopics(
      context,
      topicKeys.map((key) => key.slice(keys.messagePrefix.length)),
    );
    cursor = String(next);
    if (cursor === "0") return "done";
  }
  return "cut short";
}

/** Those that are in the index already stay where they are. */
async function addTopics({ keys, send }: RedisContext, topics: readonly string[]): Promise<void> {
  if (topics.length === 0) return;
  const replies = await send(topics.map((topic) => ["ZRANGE", keys.topic(topic), -1, -1, "WITHSCORES"]));
  const scored: (string | number)[] = [];
  for (const [at, topic] of topics.entries()) {
    const [last] = scoredMembers(replies[at]);
    if (last !== undefined) scored.push(last.score, topic);
  }
  if (scored.length === 0) return;
  const [reply] = await send([["ZADD", keys.topics, "NX", ...scored]]);
  if (reply instanceof Error) throw reply;
}
