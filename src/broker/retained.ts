// Retained messages: the last message of each topic that was published with RETAIN 1, by topic level.

import type { Logger } from "../mqtt/logger.ts";
import type { Message } from "../mqtt/message.ts";
import { messageBytes } from "../mqtt/message-size.ts";
import { detachPayload } from "../mqtt/payload.ts";
import { RepeatedWarning } from "../mqtt/repeated-warning.ts";
import { isExpired } from "./delivery.ts";
import type { Metrics } from "./metrics.ts";
import type { Persistence } from "./persistence/persistence.ts";
import type { RetainedRow } from "./persistence/rows.ts";

/** How often at most, in ms, expired messages are looked for to make room. */
const SWEEP_INTERVAL = 1000;

export interface Retained {
  readonly message: Message;
  /** A plugin held it durably when it was published. */
  readonly stored: boolean;
  /** Where it is kept in broker.db, if it is. */
  readonly saved: RetainedRow | undefined;
}

interface RetainedContext {
  readonly options: { readonly maxRetainedMessages: number; readonly maxRetainedBytes: number };
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly persistence: Persistence;
  /** Ms since the epoch. */
  now(): number;
}

/** What a level of the tree takes besides its message, about, in bytes. */
const LEVEL_BYTES = 250;

class Level {
  /** Undefined: none, as at most topics' ends. */
  children: Map<string, Level> | undefined = undefined;
  retained: Retained | undefined = undefined;
}

export class RetainedMessages {
  readonly #context: RetainedContext;
  readonly #root = new Level();
  readonly #noRoom: RepeatedWarning;
  #size = 0;
  #bytes = 0;
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor(context: RetainedContext) {
    this.#context = context;
    const advice = "raise retainer.max_retained_messages or max_retained_bytes";
    this.#noRoom = new RepeatedWarning(context.logger, `a message is not retained: ${advice}`, context.now);
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Keeps the message in place of the topic's last one; an empty payload removes that [MQTT-3.3.1-6, -7]. Returns false
   * when there is no room: then the last one is removed all the same, for it is out of date.
   */
  set(message: Message, stored: boolean): boolean {
    const levels = message.topic.split("/");
    if (message.payload.length === 0) {
      this.#remove(levels);
      return true;
    }
    if (!this.#hasRoom(message, levels) && !(this.#sweep() && this.#hasRoom(message, levels))) {
      this.#context.metrics.retainedRefused += 1;
      this.#noRoom.warn({ clientId: message.from, topic: message.topic });
      this.#remove(levels);
      return false;
    }
    detachPayload(message);
    this.#put({ message, stored, saved: this.#context.persistence.keepRetained(message, stored) }, levels);
    return true;
  }

  /** What a broker before this one kept. */
  restore(retained: Retained): void {
    this.#put(retained, retained.message.topic.split("/"));
  }

  #put(retained: Retained, levels: readonly string[]): void {
    let level = this.#root;
    for (const name of levels) {
      let child = level.children?.get(name);
      if (child === undefined) {
        child = new Level();
        level.children ??= new Map();
        level.children.set(name, child);
        this.#resize(0, LEVEL_BYTES);
      }
      level = child;
    }
    if (level.retained !== undefined) this.#letGoOf(level.retained);
    this.#resize(1, messageBytes(retained.message));
    level.retained = retained;
  }

  /** Those that match a Topic Filter (without `$share`), without expired ones, in publish order. */
  match(filter: string): Retained[] {
    const { now } = this.#context;
    let reached = [this.#root];
    const levels = filter.split("/");
    const hasHash = levels.at(-1) === "#";
    if (hasHash) levels.pop();
    for (const [depth, name] of levels.entries()) {
      reached = reached.flatMap((level) => (name === "+" ? wildcardChildren(level, depth) : childNamed(level, name)));
    }
    const found: Retained[] = [];
    const collect = ({ retained }: Level): void => {
      if (retained !== undefined && !isExpired(retained.message, now)) found.push(retained);
    };
    for (const level of reached) collect(level);
    for (let depth = levels.length; hasHash && reached.length > 0; depth++) {
      reached = reached.flatMap((level) => wildcardChildren(level, depth));
      for (const level of reached) collect(level);
    }
    return found.sort((left, right) => (left.message.id < right.message.id ? -1 : 1));
  }

  #find(levels: readonly string[]): Level | undefined {
    let level: Level | undefined = this.#root;
    for (const name of levels) level = level?.children?.get(name);
    return level;
  }

  #remove(levels: readonly string[]): void {
    const path = [this.#root];
    for (const name of levels) {
      const child = path.at(-1)?.children?.get(name);
      if (child === undefined) return;
      path.push(child);
    }
    const last = path.at(-1) as Level;
    if (last.retained === undefined) return;
    this.#letGoOf(last.retained);
    last.retained = undefined;
    for (let depth = levels.length; depth > 0; depth--) {
      const level = path[depth] as Level;
      if (level.retained !== undefined || (level.children?.size ?? 0) > 0) return;
      path[depth - 1]?.children?.delete(levels[depth - 1] as string);
      this.#resize(0, -LEVEL_BYTES);
    }
  }

  #hasRoom(message: Message, levels: readonly string[]): boolean {
    const { maxRetainedMessages, maxRetainedBytes } = this.#context.options;
    const bytes = this.#bytes + messageBytes(message);
    const ofLevels = this.#missing(levels) * LEVEL_BYTES;
    if (this.#size < maxRetainedMessages && bytes + ofLevels <= maxRetainedBytes) return true;
    const held = this.#find(levels)?.retained;
    return held !== undefined && bytes - messageBytes(held.message) <= maxRetainedBytes;
  }

  /** How many levels the tree would have to grow by. */
  #missing(levels: readonly string[]): number {
    let level: Level | undefined = this.#root;
    let found = 0;
    for (const name of levels) {
      level = level.children?.get(name);
      if (level === undefined) break;
      found += 1;
    }
    return levels.length - found;
  }

  /** Removes expired messages, now and then; returns whether it has. */
  #sweep(): boolean {
    const time = this.#context.now();
    if (time - this.#sweptAt < SWEEP_INTERVAL) return false;
    this.#sweptAt = time;
    this.#removeExpired(time);
    return true;
  }

  #removeExpired(now: number): void {
    const expired: string[] = [];
    const levels = [this.#root];
    for (let level = levels.pop(); level !== undefined; level = levels.pop()) {
      if (level.retained !== undefined && isExpired(level.retained.message, () => now)) {
        expired.push(level.retained.message.topic);
      }
      for (const child of level.children?.values() ?? []) levels.push(child);
    }
    for (const topic of expired) this.#remove(topic.split("/"));
  }

  #letGoOf({ message, saved }: Retained): void {
    this.#resize(-1, -messageBytes(message));
    if (saved !== undefined) this.#context.persistence.endRetained(saved);
  }

  #resize(messages: number, bytes: number): void {
    this.#size += messages;
    this.#bytes += bytes;
    this.#context.metrics.retained = this.#size;
    this.#context.metrics.retainedBytes = this.#bytes;
  }
}

function childNamed(level: Level, name: string): Level[] {
  const child = level.children?.get(name);
  return child === undefined ? [] : [child];
}

/** A wildcard in the first level does not match names that begin with `$` [MQTT-4.7.2-1]. */
function wildcardChildren(level: Level, depth: number): Level[] {
  if (level.children === undefined) return [];
  if (depth > 0) return [...level.children.values()];
  return [...level.children].filter(([name]) => !name.startsWith("$")).map(([, child]) => child);
}
