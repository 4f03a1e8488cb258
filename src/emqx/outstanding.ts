// What each client has unacknowledged of the stored messages, connected or away: what a session sends again when it is resumed.

import type { MessageId } from "../mqtt/message-id.ts";
import type { MessageKey } from "../plugin/hooks.ts";

/** Ids remembered in all. */
const LIMIT = 1_000_000;

interface Unacknowledged {
  readonly topic: string;
  /** The number that the message was given when it was pushed live; 0: it came another way. */
  readonly number: number;
  /** When it was noted, in whole ms of `performance.now`. */
  readonly since: number;
  /** How many were noted before, of all clients. */
  readonly order: number;
}

/** What one client has, in the order in which it was noted. */
interface OfClient {
  readonly entries: Map<MessageId, Unacknowledged>;
  /** When that was noted which it has acknowledged, at the latest. */
  acknowledged: number;
}

/** What a client has had for long. */
export interface Unheard {
  /** What was noted clearly later has been acknowledged: a session sends in order. */
  readonly passed: MessageId[];
  readonly others: MessageId[];
}

/** Of two messages that were noted so close to each other, in ms, the later one may be sent first. */
const CLOSE = 1000;

export class Outstanding {
  readonly #limit: number;
  readonly #now: () => number;
  readonly #byClient = new Map<string, OfClient>();
  /** Clients that are away, the one that went first in front. */
  readonly #away = new Set<string>();
  #size = 0;
  #order = 0;

  /** `now`: in ms, for tests. */
  constructor(limit = LIMIT, now: () => number = () => performance.now()) {
    this.#limit = limit;
    this.#now = () => Math.trunc(now());
  }

  /** Ids that are remembered. */
  get size(): number {
    return this.#size;
  }

  /** How many were ever noted: what is noted from now on has this order, or a higher one. */
  get order(): number {
    return this.#order;
  }

  /** Notes one; one that is there stays as it is. Returns false at the bound: it is not remembered. */
  add(clientId: string, { id, topic }: MessageKey, number = 0): boolean {
    let own = this.#byClient.get(clientId);
    if (own?.entries.has(id)) return true;
    if (this.#size >= this.#limit && !this.#forgetOldest(clientId)) return false;
    if (own === undefined) {
      own = { entries: new Map(), acknowledged: 0 };
      this.#byClient.set(clientId, own);
    }
    own.entries.set(id, { topic, number, since: this.#now(), order: this.#order });
    this.#order += 1;
    this.#size += 1;
    return true;
  }

  has(clientId: string, id: MessageId): boolean {
    return this.#find(clientId, id) !== undefined;
  }

  /** How many were noted before it; undefined: the client does not count as having it. */
  orderOf(clientId: string, id: MessageId): number | undefined {
    return this.#find(clientId, id)?.order;
  }

  /** Its topic; undefined: the client does not count as having it. */
  topic(clientId: string, id: MessageId): string | undefined {
    return this.#find(clientId, id)?.topic;
  }

  /** Whether it was pushed live. */
  wasPushed(clientId: string, id: MessageId): boolean {
    return (this.#find(clientId, id)?.number ?? 0) > 0;
  }

  /** The client has acknowledged it. Returns whether it was there. */
  acknowledge(clientId: string, id: MessageId): boolean {
    const own = this.#byClient.get(clientId);
    const entry = own?.entries.get(id);
    if (own !== undefined && entry !== undefined) own.acknowledged = Math.max(own.acknowledged, entry.since);
    return this.remove(clientId, id);
  }

  /** Returns whether it was there. */
  remove(clientId: string, id: MessageId): boolean {
    const own = this.#byClient.get(clientId);
    if (own === undefined || !own.entries.delete(id)) return false;
    this.#size -= 1;
    if (own.entries.size === 0) this.#byClient.delete(clientId);
    return true;
  }

  of(clientId: string): MessageKey[] {
    return [...(this.#byClient.get(clientId)?.entries ?? [])].map(([id, { topic }]) => ({ id, topic }));
  }

  /** Those whose number is above the one and up to the other; what was not pushed live has 0. */
  numbered(clientId: string, above: number, upTo: number): MessageKey[] {
    return [...(this.#byClient.get(clientId)?.entries ?? [])].flatMap(([id, { topic, number }]) =>
      number > above && number <= upTo ? [{ id, topic }] : [],
    );
  }

  /** What the client has had for so many ms without acknowledging it, at most so many, what it has had longest first. */
  unheard(clientId: string, age: number, most: number): Unheard {
    const unheard: Unheard = { passed: [], others: [] };
    const own = this.#byClient.get(clientId);
    if (own === undefined) return unheard;
    const until = this.#now() - age;
    let room = most;
    for (const [id, { since }] of own.entries) {
      if (since > until || room === 0) break;
      room -= 1;
      (since + CLOSE < own.acknowledged ? unheard.passed : unheard.others).push(id);
    }
    return unheard;
  }

  /** The client has gone: it is forgotten before those that are here. */
  wentAway(clientId: string): void {
    this.#away.delete(clientId);
    if (this.#byClient.has(clientId)) this.#away.add(clientId);
  }

  cameBack(clientId: string): void {
    this.#away.delete(clientId);
  }

  forget(clientId: string): void {
    this.#size -= this.#byClient.get(clientId)?.entries.size ?? 0;
    this.#byClient.delete(clientId);
    this.#away.delete(clientId);
  }

  #find(clientId: string, id: MessageId): Unacknowledged | undefined {
    return this.#byClient.get(clientId)?.entries.get(id);
  }

  /** Forgets the client that went first. Returns false when all others are here. */
  #forgetOldest(except: string): boolean {
    for (const clientId of this.#away) {
      if (clientId === except) continue;
      this.forget(clientId);
      return true;
    }
    return false;
  }
}
