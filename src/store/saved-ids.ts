// Tells which ids cannot be stored yet, so that a save need not look first.
//
// Ids rise with time. One that was made after this process began, and that is not among the last ones saved here, is new.
// All others may be stored already: those of a time before, and those that were pushed out of this memory.

import { lowestIdAt, type MessageId } from "../mqtt/message-id.ts";

/** Ids of each of the two generations. */
const GENERATION = 16_384;

export class SavedIds {
  #young = new Set<MessageId>();
  #old = new Set<MessageId>();
  /** Nothing is remembered of ids up to this one. */
  #floor = lowestIdAt(Date.now());

  add(id: MessageId): void {
    if (this.#young.size >= GENERATION) {
      for (const forgotten of this.#old) if (forgotten > this.#floor) this.#floor = forgotten;
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(id);
  }

  mayBeStored(id: MessageId): boolean {
    return id <= this.#floor || this.#young.has(id) || this.#old.has(id);
  }
}
