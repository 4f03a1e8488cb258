// What a replay has read and not yet sent: at most two pages of the store, then the tail.
//
// The tail holds what was stored and not pushed since the last read began. It is bounded like a page; beyond that it is
// dropped, and the store has to be read again.

import type { Message } from "../mqtt/message.ts";
import { detachPayload } from "../mqtt/payload.ts";
import type { Position, StoredMessage } from "../store/store.ts";
import type { OpenPage, Removals } from "./removals.ts";

const MAX_PAGES = 2;

export interface PageInUse extends OpenPage {
  messages: readonly StoredMessage[];
  /** Index of the next message to send. */
  next: number;
}

/** The next message to send; it has a position when it comes from a page. */
export interface Upcoming {
  readonly message: Message;
  readonly position?: Position;
}

export interface TailLimit {
  readonly maxMessages: number;
  readonly maxBytes: number;
}

export class ReadAhead {
  readonly #removals: Removals;
  readonly #pages: PageInUse[] = [];
  #tail: Message[] = [];
  #tailNext = 0;
  #tailBytes = 0;
  #tailOverflowed = false;
  /** As long as there is a tail, what is removed is remembered for it as for a page. */
  readonly #tailAsPage: OpenPage;

  /** `tailLost` is called, in a turn of its own, when the tail had to be given up. */
  constructor(removals: Removals, tailLost: () => void) {
    this.#removals = removals;
    this.#tailAsPage = {
      giveUp: () => {
        this.#overflowTail();
        queueMicrotask(tailLost);
      },
    };
  }

  get hasRoomForPage(): boolean {
    return this.#pages.length < MAX_PAGES;
  }

  /** Messages that are read and not sent. */
  get size(): number {
    let size = this.#tail.length - this.#tailNext;
    for (const { messages, next } of this.#pages) size += messages.length - next;
    return size;
  }

  /** More was missed than the tail takes: the store has it. */
  get tailOverflowed(): boolean {
    return this.#tailOverflowed;
  }

  /** Adds a page. What it has in common with the tail is taken from the tail. */
  addPage(page: PageInUse): void {
    if (this.#tail.length > 0) {
      const inPage = new Set(page.messages.map(({ message }) => message.id));
      this.#tail = this.#tail.filter(({ id }) => !inPage.has(id));
      if (this.#tail.length === 0) this.#removals.closePage(this.#tailAsPage);
    }
    if (page.messages.length === 0) this.#removals.closePage(page);
    else this.#pages.push(page);
  }

  addToTail(message: Message, limit: TailLimit): void {
    if (this.#tailOverflowed) return;
    const bytes = this.#tailBytes + message.payload.length;
    if (this.#tail.length < limit.maxMessages && bytes <= limit.maxBytes) {
      if (this.#tail.length === 0) this.#removals.openPage(this.#tailAsPage);
      detachPayload(message);
      this.#tail.push(message);
      this.#tailBytes = bytes;
      return;
    }
    this.#overflowTail();
  }

  #overflowTail(): void {
    this.clearTail();
    this.#tailOverflowed = true;
  }

  clearTail(): void {
    if (this.#tail.length > 0) this.#removals.closePage(this.#tailAsPage);
    this.#tail = [];
    this.#tailNext = 0;
    this.#tailBytes = 0;
    this.#tailOverflowed = false;
  }

  dropPages(): void {
    for (const page of this.#pages.splice(0)) this.#removals.closePage(page);
  }

  /** The next message; the tail counts only when `withTail` says that no page will come before it. */
  peek(withTail: boolean): Upcoming | undefined {
    const page = this.#pages[0];
    if (page !== undefined) return page.messages[page.next];
    if (!withTail || this.#tailOverflowed) return undefined;
    const message = this.#tail[this.#tailNext];
    return message && { message };
  }

  /** Goes past the message that `peek` gave. `stale`: it is not the next any more, because the page was given up. */
  advance(done: Upcoming): "stale" | "more" | "used up" {
    if (done.position === undefined) {
      if (this.#tail[this.#tailNext] !== done.message) return "stale";
      this.#tailNext += 1;
      if (this.#tailNext < this.#tail.length) return "more";
      this.clearTail();
      return "used up";
    }
    const page = this.#pages[0];
    if (page?.messages[page.next] !== done) return "stale";
    page.next += 1;
    if (page.next < page.messages.length) return "more";
    this.#pages.shift();
    this.#removals.closePage(page);
    return "used up";
  }
}
