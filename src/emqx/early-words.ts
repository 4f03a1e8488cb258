// What sessions say of messages whose PUBLISH has not come yet: with `publish_ack = "async"` it may, over another connection.

import type { MessageId } from "../mqtt/message-id.ts";

/** Words of all messages together; those of the oldest messages are forgotten. */
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
  #count = 0;

  constructor(limit = LIMIT) {
    this.#limit = limit;
  }

  /** Words that are remembered. */
  get size(): number {
    return this.#count;
  }

  /** The client is not sent the message. */
  addNotPushed(id: MessageId, clientId: string): void {
    if (!this.#words.get(id)?.notPushed.has(clientId)) this.#of(id).notPushed.add(clientId);
  }

  /** To be done once the message is answered. */
  addLater(id: MessageId, run: () => void): void {
    this.#of(id).later.push(run);
  }

  /** Of this message, for one more word. */
  #of(id: MessageId): EarlyWords {
    while (this.#count >= this.#limit) this.take(this.#words.keys().next().value as MessageId);
    this.#count += 1;
    let words = this.#words.get(id);
    if (words === undefined) {
      words = { notPushed: new Set(), later: [] };
      this.#words.set(id, words);
    }
    return words;
  }

  /** The message has come. */
  take(id: MessageId): EarlyWords | undefined {
    const words = this.#words.get(id);
    if (words === undefined) return undefined;
    this.#words.delete(id);
    this.#count -= words.notPushed.size + words.later.length;
    return words;
  }
}
