// Walks the index of topics, from the one stored to longest ago to the latest, in steps of one round trip.
//
// A topic that is stored to meanwhile moves to the end, and the last one of a step begins the next, so topics may come
// twice, but none is left out.

import { topicMatches } from "../../../mqtt/topic.ts";
import { type ScoredMember, scoredMembers } from "../command.ts";
import type { RedisContext } from "../context.ts";
import { IndexTakenError } from "../problem.ts";

/** Topics in one step. */
const STEP = 1_000;

/** Gives the topics step by step. Throws the error of Redis or the connection. */
export async function* walkTopics({ keys, send }: RedisContext): AsyncGenerator<ScoredMember[]> {
  let from: number | "-inf" = "-inf";
  let limit = STEP;
  for (;;) {
    const command = ["ZRANGE", keys.topics, from, "+inf", "BYSCORE", "LIMIT", 0, limit, "WITHSCORES"] as const;
    const [reply] = await send([command]);
    if (reply instanceof Error && reply.message.startsWith("WRONGTYPE")) throw new IndexTakenError();
    const found = scoredMembers(reply);
    const last = found.at(-1);
    // More topics share this score than fit in a step. Skipping those seen would skip others when one of them moves.
    if (last?.score === from && found.length === limit) {
      limit *= 2;
      continue;
    }
    if (found.length > 0) yield found;
    if (last === undefined || found.length < limit) return;
    from = last.score;
    limit = STEP;
  }
}

/** Gives the topics that match a filter, step by step; without wildcards the one that it names, unseen. */
export async function* matchingTopics(context: RedisContext, topicFilter: string): AsyncGenerator<string[]> {
  if (!/[+#]/.test(topicFilter)) {
    yield [topicFilter];
    return;
  }
  for await (const step of walkTopics(context)) {
    const topics = step.filter(({ member }) => topicMatches(topicFilter, member)).map(({ member }) => member);
    if (topics.length > 0) yield topics;
  }
}
