// Removes what is left of expired messages: Redis removes the hashes by itself, this the entries that name them.
//
// Each call looks at some topics, from where the last one stopped, so that its work is bounded however many there are.

import { scoredMembers } from "../command.ts";
import type { IndexEntry, RedisContext } from "../context.ts";
import type { EarlyDeaths } from "../early-deaths.ts";
import { removeMessages } from "./remove-messages.ts";
import { OrphanSweep } from "./sweep-orphans.ts";

/** Topics that one call looks at, and entries of each. */
const TOPICS = 256;
const ENTRIES_PER_TOPIC = 500;

export class ExpirySweep {
  readonly #context: RedisContext;
  readonly #deaths: EarlyDeaths;
  readonly #orphans: OrphanSweep;
  /** Where the next call goes on in the index of topics. */
  #rank = 0;

  constructor(context: RedisContext, deaths: EarlyDeaths) {
    this.#context = context;
    this.#deaths = deaths;
    this.#orphans = new OrphanSweep(context);
  }

  /** How many went. Throws the error of Redis or the connection. */
  async expire(now: number, limit: number): Promise<number> {
    let removed = 0;
    while (removed < limit) {
      const dead = this.#deaths.take(now, limit - removed);
      if (dead.length === 0) break;
      try {
        removed += await removeMessages(this.#context, dead);
      } catch (error) {
        for (const death of dead) this.#deaths.add(death);
        throw error;
      }
    }
    if (removed < limit && this.#context.messageTtl > 0) {
      removed += await this.#removeOld(now, limit - removed);
      if (removed < limit) await this.#removeOldTopics(now);
    }
    if (removed < limit) await this.#orphans.step();
    return removed;
  }

  /** Entries older than `message_ttl`. */
  async #removeOld(now: number, limit: number): Promise<number> {
    const { keys, send, messageTtl } = this.#context;
    const oldest = now - messageTtl * 1_000;
    const [reply] = await send([["ZRANGE", keys.topics, this.#rank, this.#rank + TOPICS - 1, "WITHSCORES"]]);
    const topics = scoredMembers(reply).map(({ member }) => member);
    const replies = await send(
      topics.map((topic) => [
        ...([
          "ZRANGE",
          keys.topic(topic),
          "-inf",
          oldest,
          "BYSCORE",
          "LIMIT",
          0,
          ENTRIES_PER_TOPIC,
          "WITHSCORES",
        ] as const),
      ]),
    );
    const old: IndexEntry[] = [];
    for (const [at, topic] of topics.entries()) {
      const entries = replies[at];
      if (entries instanceof Error && entries.message.startsWith("WRONGTYPE")) continue;
      for (const { member } of scoredMembers(entries)) old.push({ topic, id62: member });
    }
    // With more to remove than this call may, the next one looks at the same topics again.
    if (old.length < limit) this.#rank = topics.length < TOPICS ? 0 : this.#rank + TOPICS;
    return removeMessages(this.#context, old.slice(0, limit));
  }

  /** Topics that nothing was stored to since all that they had has expired. */
  async #removeOldTopics(now: number): Promise<void> {
    const { keys, send, messageTtl } = this.#context;
    const [reply] = await send([["ZREMRANGEBYSCORE", keys.topics, "-inf", `(${now - messageTtl * 1_000}`]]);
    if (reply instanceof Error) throw reply;
  }
}
