// Finds the highest id and score stored: among the latest entries of the topics that were stored to last.

import { fromB62 } from "../../../mqtt/base62.ts";
import type { MessageId } from "../../../mqtt/message-id.ts";
import { membersOf, scoredMembers } from "../command.ts";
import type { RedisContext } from "../context.ts";

/** Topics in one step. */
const STEP = 512;
/** Entries of each topic: ids rise with the time of storing, but for clocks that differ by a little. */
const ENTRIES = 8;

export interface Last {
  /** Absent when nothing is stored. */
  readonly id?: MessageId;
  /** The time of the last store, if it is known. */
  readonly score?: number;
}

/** Throws the error of Redis or the connection. */
export async function findLast({ keys, send }: RedisContext): Promise<Last> {
  let score: number | undefined;
  for (let start = 0; ; start += STEP) {
    const [reply] = await send([["ZRANGE", keys.topics, start, start + STEP - 1, "REV", "WITHSCORES"]]);
    const topics = scoredMembers(reply);
    score ??= topics[0]?.score;
    const replies = await send(topics.map(({ member }) => ["ZRANGE", keys.topic(member), 0, ENTRIES - 1, "REV"]));
    let highest: MessageId | undefined;
    for (const entries of replies) {
      if (entries instanceof Error && entries.message.startsWith("WRONGTYPE")) continue;
      for (const id62 of membersOf(entries)) {
        const id = idOf(id62);
        if (id !== undefined && (highest === undefined || id > highest)) highest = id;
      }
    }
    if (highest === undefined && topics.length === STEP) continue;
    return {
      ...(highest === undefined ? undefined : { id: highest }),
      ...(score === undefined ? undefined : { score }),
    };
  }
}

function idOf(id62: string): MessageId | undefined {
  try {
    return fromB62(id62);
  } catch {
    return undefined;
  }
}
