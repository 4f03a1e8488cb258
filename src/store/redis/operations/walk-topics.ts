// Walks the index of topics, from the one stored to longest ago to the latest, in steps of one round trip.
//
// A topic that is stored to meanwhile moves to the end, so it may come twice, but none is left out.

import { topicMatches } from "../../../mqtt/topic.ts";
import { type ScoredMember, scoredMembers } from "../command.ts";
import type { RedisContext } from "../context.ts";

/** Topics in one step. */
const STEP = 1_000;

/** Gives the topics step by step. Throws the error of Redis or the connection. */
export async function* walkTopics({ keys, send }: RedisContext): AsyncGenerator<ScoredMember[]> {
  let from: number | "-inf" = "-inf";
  let skip = 0;
  for (;;) {
    const command = ["ZRANGE", keys.topics, from, "+inf", "BYSCORE", "LIMIT", skip, STEP, "WITHSCORES"] as const;
    const [reply] = await send([command]);
    const found = scoredMembers(reply);
    if (found.length > 0) yield found;
    const last = found.at(-1);
    if (last === undefined || found.length < STEP) return;
    const ties = found.filter(({ score }) => score === last.score).length;
    skip = last.score === from ? skip + ties : ties;
    from = last.score;
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
