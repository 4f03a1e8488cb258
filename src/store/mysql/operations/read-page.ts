// Reads one page of messages. The entries that were read ahead are kept for the next page, so that a page is one round trip
// most of the time.

import type { Message } from "../../../mqtt/message.ts";
import { deathOf } from "../../message-death.ts";
import type { Page, PageRequest, StoredMessage } from "../../store.ts";
import type { MySqlContext } from "../context.ts";
import { fromRow, rowColumns } from "../message-row.ts";
import { findTopics } from "./find-topics.ts";
import { type Entries, type Entry, MAX_ENTRIES, MIN_ENTRIES, readEntries } from "./read-entries.ts";
import { readRows } from "./read-rows.ts";

/** Replays whose entries are kept, the latest ones, and the characters that the topics of each may have. */
const MAX_KEPT = 32;
const MAX_KEPT_TOPICS = 1024 * 1024;
/** Times that a page asks for entries; then it ends, and the next one goes on. */
const MAX_LOOKS = 8;
/** Entries to begin with, and bytes of payloads that the server may have to read to tell the sizes of the next ones. */
const FIRST_ENTRIES = 64;
const SIZED_BYTES = 64 * 1024 * 1024;

interface Kept extends Entries {
  readonly start: number;
}

export class PageReader {
  /** By topic filter and position: the entries that follow. */
  readonly #kept = new Map<string, Kept>();
  /** By the sizes of those that were read last. */
  #maxEntries = FIRST_ENTRIES;

  /** Rejects with the error of MySQL or the connection. */
  async read(context: MySqlContext, request: PageRequest): Promise<Page> {
    if (!context.layout.selected.has("id")) return request.after === undefined ? readWithoutId(context, request) : END;
    const { topicFilter, maxMessages, maxBytes } = request;
    const messages: StoredMessage[] = [];
    let bytes = 0;
    let looks = 0;
    let position = Number(request.after ?? 0);
    let ahead = this.#take(topicFilter, position) ?? { entries: [], through: position, complete: false, start: 0 };
    const isFull = () => messages.length >= maxMessages || (messages.length > 0 && bytes >= maxBytes);
    while (!isFull()) {
      if (ahead.start >= ahead.entries.length) {
        position = Math.max(position, ahead.through);
        if (ahead.complete) return { messages };
        if (looks++ >= MAX_LOOKS) break;
        ahead = { ...(await readEntries(context, topicFilter, position, this.#maxEntries)), start: 0 };
        this.#noteSizes(ahead.entries);
        continue;
      }
      const step = stepOf(ahead, maxMessages - messages.length, maxBytes - bytes);
      const found = await readRows(context, step);
      for (const { rowId } of step) {
        position = rowId;
        const message = found.get(rowId);
        if (message === undefined || deathOf(message, context.messageTtl) <= Date.now()) continue;
        messages.push({ message, position: String(rowId) });
        bytes += message.payload.length;
      }
      ahead = { ...ahead, start: ahead.start + step.length };
    }
    if (ahead.start >= ahead.entries.length) {
      if (ahead.complete) return { messages };
      position = Math.max(position, ahead.through);
    } else this.#keep(`${position} ${topicFilter}`, ahead);
    return { messages, next: String(position) };
  }

  #noteSizes(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    let bytes = 0;
    for (const { size } of entries) bytes += size;
    const fitting = Math.floor(SIZED_BYTES / Math.max(1, bytes / entries.length));
    this.#maxEntries = Math.min(MAX_ENTRIES, Math.max(MIN_ENTRIES, fitting));
  }

  #take(topicFilter: string, after: number): Kept | undefined {
    const key = `${after} ${topicFilter}`;
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    // What came last may have grown since.
    return kept && { ...kept, complete: false };
  }

  #keep(key: string, kept: Kept): void {
    let characters = 0;
    for (const topic of new Set(kept.entries.map((entry) => entry.topic))) characters += topic.length;
    if (characters > MAX_KEPT_TOPICS) return;
    this.#kept.set(key, kept);
    if (this.#kept.size <= MAX_KEPT) return;
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined) this.#kept.delete(oldest);
  }
}

/** The next entries, up to a number and to the one with which their sizes reach so many bytes. */
function stepOf({ entries, start }: Kept, maxMessages: number, maxBytes: number): Entry[] {
  const step: Entry[] = [];
  let bytes = 0;
  for (let at = start; at < entries.length && step.length < maxMessages; at++) {
    if (step.length > 0 && bytes >= maxBytes) break;
    const entry = entries[at] as Entry;
    step.push(entry);
    bytes += entry.size;
  }
  return step;
}

const END: Page = { messages: [] };

/** All there is, up to the bound of each topic, in the order of publishing, which message ids tell: there is nothing to go on from. */
async function readWithoutId(context: MySqlContext, { topicFilter }: PageRequest): Promise<Page> {
  const { execute, layout, templates, maxBacklogPerTopic, messageTtl } = context;
  const isExact = !/[+#]/.test(topicFilter);
  const topics = isExact ? [topicFilter] : (await findTopics(context, topicFilter)).topics;
  const found: Message[] = [];
  const sql = `SELECT ${rowColumns(layout)} FROM (${templates.selectMessage.sql}) AS m ORDER BY m.msgid LIMIT ${maxBacklogPerTopic}`;
  for (const topic of topics) {
    const { rows } = await execute(
      sql,
      templates.selectMessage.parameters.map(() => topic),
    );
    for (const row of rows) {
      const message = fromRow(row, layout, topic);
      if (message === undefined || message.topic !== topic || deathOf(message, messageTtl) <= Date.now()) continue;
      found.push(message);
    }
  }
  found.sort((a, b) => (a.id < b.id ? -1 : 1));
  return { messages: found.map((message, at) => ({ message, position: String(at) })) };
}
