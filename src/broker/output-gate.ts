// Holds a client's packets back until what they promise is saved: an acknowledgement of what could still be lost, or a
// Packet Identifier that could be forgotten, does not leave.
//
// Packets keep their order: what comes behind one that is held waits with it. What is held counts as backlog.

import type { Message } from "../mqtt/message.ts";
import type { Outbound } from "./outbound.ts";
import type { DurableListener, Journal } from "./persistence/journal.ts";

/** Buffers (packets, and large payloads) that are held, at which the client's own packets are not read. */
const MAX_HELD = 1_000;

interface Segment {
  /** Everything goes with this batch of the journal. */
  readonly batch: number;
  /** When it began, in ms of the monotonic clock. */
  readonly since: number;
  /** Bytes, and messages that are to be marked before the bytes behind them. */
  readonly held: (Uint8Array | Message)[];
}

export class OutputGate implements DurableListener {
  readonly #outbound: Outbound;
  readonly #journal: Journal | undefined;
  readonly #released: () => void;
  /** The batches of the journal follow each other: there are at most three. */
  #segments: Segment[] | undefined;
  #heldBytes = 0;
  #heldBuffers = 0;
  #isEnding = false;

  /** Without a journal nothing is held. `released` is called when something has gone out. */
  constructor(outbound: Outbound, journal: Journal | undefined, released: () => void) {
    this.#outbound = outbound;
    this.#journal = journal;
    this.#released = released;
  }

  /** Bytes that wait, here and for the socket. */
  get backlog(): number {
    return this.#outbound.backlog + this.#heldBytes;
  }

  /** So much is held that nothing more is to be read from the client. */
  get isFull(): boolean {
    return this.#heldBuffers >= MAX_HELD;
  }

  /** Since when something has been held, in ms of the monotonic clock; undefined: nothing is. */
  get heldSince(): number | undefined {
    return this.#segments?.[0]?.since;
  }

  /** What is pushed from now on leaves when all that has changed so far is saved. */
  hold(): void {
    const journal = this.#journal;
    const batch = journal?.barrier ?? 0;
    if (batch === 0 || this.#isEnding) return;
    this.#segments ??= [];
    if (this.#segments.at(-1)?.batch === batch) return;
    if (this.#segments.length === 0) journal?.addListener(this);
    this.#segments.push({ batch, since: performance.now(), held: [] });
  }

  /** `more` goes right behind `bytes`. */
  push(bytes: Uint8Array, more?: Uint8Array): void {
    const segment = this.#segments?.at(-1);
    if (segment === undefined) {
      this.#outbound.push(bytes, more);
      return;
    }
    if (this.#isEnding) return;
    segment.held.push(bytes);
    this.#heldBuffers += 1;
    this.#heldBytes += bytes.length;
    if (more === undefined) return;
    segment.held.push(more);
    this.#heldBuffers += 1;
    this.#heldBytes += more.length;
  }

  /** As `Outbound.mark`. */
  mark(message: Message): void {
    const segment = this.#segments?.at(-1);
    if (segment === undefined) this.#outbound.mark(message);
    else segment.held.push(message);
  }

  durable(batch: number): void {
    const segments = this.#segments ?? [];
    let count = 0;
    while (count < segments.length && (segments[count] as Segment).batch <= batch) count += 1;
    if (count === 0) return;
    const released = segments.splice(0, count);
    if (segments.length === 0) {
      this.#segments = undefined;
      this.#journal?.removeListener(this);
    }
    for (const { held } of released) {
      for (const one of held) {
        if (one instanceof Uint8Array) {
          this.#heldBytes -= one.length;
          this.#heldBuffers -= 1;
          this.#outbound.push(one);
        } else {
          this.#outbound.mark(one);
        }
      }
    }
    if (this.#isEnding && segments.length === 0) this.#outbound.end();
    this.#released();
  }

  /** Throws away what is held, and what the socket has not got yet. */
  cutShort(): void {
    this.#forget();
    this.#outbound.cutShort();
  }

  /** Writes what is left once it may leave, and ends the stream. */
  end(): void {
    this.#isEnding = true;
    if (this.#segments === undefined) this.#outbound.end();
  }

  /** The stream is closed. */
  close(): void {
    this.#forget();
  }

  #forget(): void {
    this.#segments = undefined;
    this.#heldBytes = 0;
    this.#heldBuffers = 0;
    this.#journal?.removeListener(this);
  }
}
