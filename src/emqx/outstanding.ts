// What each client has unacknowledged of the stored messages, connected or away: what a session sends again when it is resumed.

import type { MessageId } from "../mqtt/message-id.ts";
import type { MessageKey } from "../plugin/hooks.ts";

/** Ids remembered in all. */
const LIMIT = 1_000_000;

interface Unacknowledged {
  readonly topic: string;
  /** The number that the message was given when it was pushed live; 0: it came another way. */
  readonly number: number;
}

export class Outstanding {
  readonly #limit: number;
  readonly #byClient = new Map<string, Map<MessageId, Unacknowledged>>();
  /** Clients that are away, the one that went first in front. */
  readonly #away = new Set<string>();
  #size = 0;

  constructor(limit = LIMIT) {
    this.#limit = limit;
  }

  /** Ids that are remembered. */
  get size(): number {
    return this.#size;
  }

  /** Notes one; one that is there stays as it is. Returns false at the bound: it is not remembered. */
  add(clientId: string, { id, topic }: MessageKey, number = 0): boolean {
    let own = this.#byClient.get(clientId);
    if (own?.has(id)) return true;
    if (this.#size >= this.#limit && !this.#forgetOldest(clientId)) return false;
    if (own === undefined) {
      own = new Map();
      this.#byClient.set(clientId, own);
    }
    own.set(id, { topic, number });
    this.#size += 1;
    return true;
  }

  has(clientId: string, id: MessageId): boolean {
    return this.#byClient.get(clientId)?.has(id) ?? false;
  }

  /** Whether it was pushed live. */
  wasPushed(clientId: string, id: MessageId): boolean {
    return (this.#byClient.get(clientId)?.get(id)?.number ?? 0) > 0;
  }

  /** Returns whether it was there. */
  remove(clientId: string, id: MessageId): boolean {
    const own = this.#byClient.get(clientId);
    if (own === undefined || !own.delete(id)) return false;
    this.#size -= 1;
    if (own.size === 0) this.#byClient.delete(clientId);
    return true;
  }

  of(clientId: string): MessageKey[] {
    return [...(this.#byClient.get(clientId) ?? [])].map(([id, { topic }]) => ({ id, topic }));
  }

  /** Those whose number is above the one and up to the other; what was not pushed live has 0. */
  numbered(clientId: string, above: number, upTo: number): MessageKey[] {
    return [...(this.#byClient.get(clientId) ?? [])].flatMap(([id, { topic, number }]) =>
      number > above && number <= upTo ? [{ id, topic }] : [],
    );
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
    this.#size -= this.#byClient.get(clientId)?.size ?? 0;
    this.#byClient.delete(clientId);
    this.#away.delete(clientId);
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
