// Looks for what is left of messages that are gone, a little at each call, all of it in time: entries without their hashes,
// and topics in the index that have no entries. Readers sweep what they meet; this finds what nobody reads.

import { type ScoredMember, scoredMembers } from "../command.ts";
import type { IndexEntry, RedisContext } from "../context.ts";
import { compareEntries, type Entry, type EntryPosition, readEntries } from "./read-entries.ts";
import { entryRemovalCommands } from "./remove-messages.ts";

/** Topics, and entries, that one call looks at about. */
const TOPICS = 64;
const ENTRIES = 2_048;

export class OrphanSweep {
  readonly #context: RedisContext;
  /** The topic that the next call begins with, as its rank in the index, and the last entry of it that was looked at. */
  #rank = 0;
  #after: EntryPosition | undefined;

  constructor(context: RedisContext) {
    this.#context = context;
  }

  /** Throws the error of Redis or the connection. */
  async step(): Promise<void> {
    const { keys, send, orphanAge } = this.#context;
    const oldest = Date.now() - orphanAge;
    const [reply] = await send([["ZRANGE", keys.topics, this.#rank, this.#rank + TOPICS - 1, "WITHSCORES"]]);
    const topics = scoredMembers(reply);
    let looked = 0;
    for (const topic of topics) {
      const { entries, complete } = await readEntries(this.#context, topic.member, this.#after);
      if (complete && entries.length === 0 && this.#after === undefined && topic.score < oldest) {
        if (await this.#removeTopic(topic)) continue;
      }
      await this.#removeOrphans(entries.filter(({ score }) => score < oldest));
      looked += entries.length;
      const last = entries.at(-1);
      if (complete || last === undefined) {
        this.#rank++;
        this.#after = undefined;
      } else if (this.#after === undefined || compareEntries(last, this.#after) > 0) this.#after = last;
      if (looked >= ENTRIES) return;
    }
    if (topics.length < TOPICS) {
      this.#rank = 0;
      this.#after = undefined;
    }
  }

  /**
   * By its score alone: if somebody stores to the topic meanwhile, it has another. Topics that share the score stay, lest
   * one that has messages goes with it.
   */
  async #removeTopic({ score }: ScoredMember): Promise<boolean> {
    const { keys, send } = this.#context;
    const [same] = await send([["ZRANGE", keys.topics, score, score, "BYSCORE", "LIMIT", 0, 2]]);
    if (same instanceof Error) throw same;
    if (!Array.isArray(same) || same.length !== 1) return false;
    const [reply] = await send([["ZREMRANGEBYSCORE", keys.topics, score, score]]);
    if (reply instanceof Error) throw reply;
    return true;
  }

  async #removeOrphans(entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return;
    const { keys, send } = this.#context;
    // Asked for a sorted set, Redis says that a hash is none, or that there is nothing: no payload comes over.
    const replies = await send(entries.map(({ id62 }) => ["ZRANGE", keys.message(id62), 0, 0]));
    const orphans: IndexEntry[] = [];
    for (const [at, entry] of entries.entries()) {
      const reply = replies[at];
      if (reply instanceof Error && !reply.message.startsWith("WRONGTYPE")) throw reply;
      if (Array.isArray(reply)) orphans.push(entry);
    }
    const removals = await send(entryRemovalCommands(keys, orphans));
    const error = removals.find((reply): reply is Error => reply instanceof Error);
    if (error !== undefined) throw error;
  }
}
