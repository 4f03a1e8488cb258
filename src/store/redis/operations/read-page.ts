// Reads one page of messages. The entries that were read ahead are kept for the next page, so that a page is one round
// trip most of the time.

import type { Message } from "../../../mqtt/message.ts";
import { deathOf } from "../../message-death.ts";
import type { Page, PageRequest, Position, StoredMessage } from "../../store.ts";
import type { IndexEntry, RedisContext } from "../context.ts";
import { type Entry, type EntryPosition, readEntries } from "./read-entries.ts";
import { type PayloadSizes, readMessages } from "./read-messages.ts";

/** Replays whose entries are kept, the latest ones, and the characters that the topics of each may have. */
const MAX_KEPT = 32;
const MAX_KEPT_TOPICS = 1024 * 1024;
/** Entries that have lost their hashes and that one page looks at; then it ends, and the next one goes on. */
const MAX_DEAD_ENTRIES = 4_096;

interface Kept {
  readonly entries: readonly Entry[];
  readonly start: number;
  readonly complete: boolean;
}

export class PageReader {
  readonly #context: RedisContext;
  readonly #sizes: PayloadSizes;
  /** Called with entries that have lost their hashes for good. */
  readonly #orphansFound: (orphans: readonly IndexEntry[]) => void;
  /** By topic filter and position: the entries that follow. */
  readonly #kept = new Map<string, Kept>();

  constructor(context: RedisContext, sizes: PayloadSizes, orphansFound: (orphans: readonly IndexEntry[]) => void) {
    this.#context = context;
    this.#sizes = sizes;
    this.#orphansFound = orphansFound;
  }

  /** Throws the error of Redis or the connection. */
  async read({ topicFilter, after, maxMessages, maxBytes }: PageRequest): Promise<Page> {
    const messages: StoredMessage[] = [];
    let bytes = 0;
    let dead = 0;
    const isFull = () => messages.length >= maxMessages || (messages.length > 0 && bytes >= maxBytes);
    let position = after === undefined ? undefined : parsePosition(after);
    let { entries, start: at, complete } = this.#take(topicFilter, after) ?? { entries: [], start: 0, complete: false };
    while (!isFull() && dead < MAX_DEAD_ENTRIES) {
      if (at >= entries.length) {
        if (complete) return { messages };
        ({ entries, complete } = await readEntries(this.#context, topicFilter, position));
        at = 0;
        continue;
      }
      const count = Math.min(maxMessages - messages.length, this.#sizes.hashesFor(maxBytes - bytes));
      const step = entries.slice(at, at + count);
      const found = await readMessages(this.#context, this.#sizes, step);
      this.#reportOrphans(step, found);
      for (const [index, message] of found.entries()) {
        if (isFull()) break;
        at++;
        position = step[index] as Entry;
        if (message === undefined || deathOf(message, this.#context.messageTtl) <= Date.now()) dead++;
        else {
          messages.push({ message, position: formatPosition(position) });
          bytes += message.payload.length;
        }
      }
    }
    if (complete && at >= entries.length) return { messages };
    const next = formatPosition(position as EntryPosition);
    if (at < entries.length) this.#keep(`${next} ${topicFilter}`, { entries, start: at, complete: false });
    return { messages, next };
  }

  /** What an earlier page has left, which may have grown since. */
  #take(topicFilter: string, after: Position | undefined): Kept | undefined {
    const key = `${after} ${topicFilter}`;
    const kept = after === undefined ? undefined : this.#kept.get(key);
    this.#kept.delete(key);
    return kept;
  }

  #keep(key: string, kept: Kept): void {
    if (charactersOfTopics(kept.entries) > MAX_KEPT_TOPICS) return;
    this.#kept.set(key, kept);
    if (this.#kept.size <= MAX_KEPT) return;
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined) this.#kept.delete(oldest);
  }

  #reportOrphans(entries: readonly Entry[], found: readonly (Message | undefined)[]): void {
    const oldest = Date.now() - this.#context.orphanAge;
    const orphans = entries.filter(({ score }, at) => found[at] === undefined && score < oldest);
    if (orphans.length > 0) this.#orphansFound(orphans);
  }
}

function charactersOfTopics(entries: readonly Entry[]): number {
  let characters = 0;
  for (const topic of new Set(entries.map((entry) => entry.topic))) characters += topic.length;
  return characters;
}

function formatPosition({ score, id62 }: EntryPosition): Position {
  return `${score}:${id62}`;
}

function parsePosition(position: Position): EntryPosition {
  const colon = position.indexOf(":");
  return { score: Number(position.slice(0, colon)), id62: position.slice(colon + 1) };
}
