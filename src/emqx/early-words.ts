// What sessions say of messages whose PUBLISH has not come yet: with `publish_ack = "async"` it may, over another connection.

import type { MessageId } from "../mqtt/message-id.ts";

/** Messages; the oldest are forgotten. */
const LIMIT = 65_536;

export interface EarlyWords {
  /** Clients that have said that they are not sent it. */
  readonly notPushed: Set<string>;
  /** To be done once the message is answered. */
  readonly later: (() => void)[];
}

export class EarlyWordsMemory {
  readonly #limit: number;
  readonly #words = new Map<MessageId, EarlyWords>();

  constructor(limit = LIMIT) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#words.size;
  }

  /** Of this message, to be added to. */
  of(id: MessageId): EarlyWords {
    let words = this.#words.get(id);
    if (words === undefined) {
      if (this.#words.size >= this.#limit) this.#words.delete(this.#words.keys().next().value as MessageId);
      words = { notPushed: new Set(), later: [] };
      this.#words.set(id, words);
    }
    return words;
  }

  /** The message has come. */
  take(id: MessageId): EarlyWords | undefined {
    const words = this.#words.get(id);
    if (words !== undefined) this.#words.delete(id);
    return words;
  }
}
