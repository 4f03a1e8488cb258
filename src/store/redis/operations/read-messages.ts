// Reads the hashes that entries name, in pipelines that are kept small where messages are large.
//
// Redis does not tell a hash's size without sending it, so the size of what comes is guessed from what came last.

import { Base62Error } from "../../../mqtt/base62.ts";
import type { Message } from "../../../mqtt/message.ts";
import type { IndexEntry, RedisContext } from "../context.ts";
import { fromFields } from "../message-hash.ts";

/** Hashes in one round trip, at least and at most, and the bytes that they should have at most. */
const MIN_HASHES = 16;
const MAX_HASHES = 1_024;
const MAX_BYTES = 16 * 1024 * 1024;
/** What a message may have before one was seen. */
const FIRST_GUESS = 64 * 1024;
/** Of the guess, with each round trip that brought smaller ones. */
const SHRINK = 0.5;

/** The largest payload to expect, in bytes. */
export class PayloadSizes {
  #largest = FIRST_GUESS;

  /** How many hashes to ask for at once, when there is room for so many bytes. */
  hashesFor(bytes: number): number {
    const fitting = Math.floor(Math.min(bytes, MAX_BYTES) / Math.max(1, this.#largest));
    return Math.min(MAX_HASHES, Math.max(MIN_HASHES, fitting));
  }

  read(largest: number): void {
    this.#largest = Math.max(largest, Math.floor(this.#largest * SHRINK));
  }

  written(bytes: number): void {
    if (bytes > this.#largest) this.#largest = bytes;
  }
}

/** The messages of entries, in their order; undefined where there is none. Throws the error of Redis or the connection. */
export async function readMessages(
  { keys, send }: RedisContext,
  sizes: PayloadSizes,
  entries: readonly IndexEntry[],
): Promise<(Message | undefined)[]> {
  const found = await send(
    entries.map(({ id62 }) => ["HGETALL", keys.message(id62)]),
    (reply, at) => fromFields(reply, entries[at] as IndexEntry),
  );
  let largest = 0;
  const messages: (Message | undefined)[] = found.map((message) => {
    if (!(message instanceof Error)) {
      if (message !== undefined) largest = Math.max(largest, message.payload.length);
      return message;
    }
    if (isNoMessage(message)) return undefined;
    throw message;
  });
  sizes.read(largest);
  return messages;
}

/** A key that holds something else, or an entry that is no id. */
function isNoMessage(error: Error): boolean {
  return error instanceof Base62Error || error.message.startsWith("WRONGTYPE");
}
