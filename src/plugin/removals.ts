// Removes acknowledged messages from the store, in batches, and remembers them while a page read earlier may name them.
//
// A page that was read before a message's removal became durable still names that message, although it was acknowledged
// meanwhile. So each page is opened before it is read and closed when it is used up; a removed id is forgotten only
// when every page still open was opened after its removal was durable. When too many ids would have to be remembered,
// the oldest open page is given up (its replay reads it again) instead of forgetting an id.

import type { Logger } from "../mqtt/logger.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import type { MessageKey, Store } from "../store/store.ts";
import { Backoff } from "./backoff.ts";
import type { Counters } from "./counters.ts";

/** Keys in one call to the store. */
const BATCH = 1024;

export interface OpenPage {
  /** Called when the page must not be used any more. */
  giveUp(): void;
}

export class Removals {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #counters: Counters;
  readonly #limit: number;
  /** Waiting for the store, in the order of acknowledgement. */
  readonly #waiting = new Map<MessageId, MessageKey>();
  /** Every id that must not be sent: waiting, being removed (`undefined`), or removed at that count of `#removed`. */
  readonly #ids = new Map<MessageId, number | undefined>();
  /** Removed ids in the order of their removal, to be forgotten from the front. */
  readonly #forgettable: MessageId[] = [];
  #forgettableFrom = 0;
  /** Open pages and the count of `#removed` when each was opened; the first is the oldest. */
  readonly #pages = new Map<OpenPage, number>();
  #removed = 0;
  #flushing: Promise<void> | undefined;
  readonly #backoff = new Backoff();
  #givenUpLogged = false;

  constructor(store: Store, logger: Logger, counters: Counters, limit: number) {
    this.#store = store;
    this.#logger = logger;
    this.#counters = counters;
    this.#limit = limit;
  }

  /** Whether the message was acknowledged and must not be sent from a page. */
  has(id: MessageId): boolean {
    return this.#ids.has(id);
  }

  get size(): number {
    return this.#ids.size;
  }

  add(key: MessageKey): void {
    if (this.#ids.has(key.id)) return;
    if (this.#ids.size >= this.#limit) this.#makeRoom();
    this.#ids.set(key.id, undefined);
    this.#waiting.set(key.id, key);
    this.#flushing ??= this.#flush();
  }

  /** To be called before the page is read. */
  openPage(page: OpenPage): void {
    this.#pages.set(page, this.#removed);
  }

  closePage(page: OpenPage): void {
    if (this.#pages.delete(page)) this.#forget();
  }

  /** Tries at once what waits for the store to come back. */
  retryNow(): void {
    this.#backoff.endWait();
  }

  /** Resolves when nothing waits any more, or after one last try. */
  async stop(): Promise<void> {
    this.#backoff.stop();
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    // Leave the caller's turn first, so that acknowledgements that arrive together are removed together.
    await undefined;
    while (this.#waiting.size > 0) {
      const batch: MessageKey[] = [];
      for (const key of this.#waiting.values()) {
        if (batch.push(key) === BATCH) break;
      }
      try {
        await this.#store.deleteMessages(batch);
        this.#backoff.reset();
        this.#settle(batch);
      } catch (error) {
        this.#logger.debug({ err: error }, "acknowledged messages are not removed yet");
        if (!(await this.#backoff.wait())) break;
      }
    }
    this.#flushing = undefined;
  }

  #settle(batch: readonly MessageKey[]): void {
    this.#removed += 1;
    for (const { id } of batch) {
      if (!this.#waiting.delete(id)) continue;
      this.#ids.set(id, this.#removed);
      this.#forgettable.push(id);
    }
    this.#forget();
  }

  #forget(): void {
    const oldest: number = this.#pages.values().next().value ?? Number.POSITIVE_INFINITY;
    while (this.#forgettableFrom < this.#forgettable.length) {
      const id = this.#forgettable[this.#forgettableFrom] as MessageId;
      const removed = this.#ids.get(id);
      if (removed !== undefined && removed > oldest) break;
      if (removed !== undefined) this.#ids.delete(id);
      this.#forgettableFrom += 1;
    }
    if (this.#forgettableFrom > 1024 && this.#forgettableFrom * 2 > this.#forgettable.length) {
      this.#forgettable.splice(0, this.#forgettableFrom);
      this.#forgettableFrom = 0;
    }
  }

  #makeRoom(): void {
    while (this.#ids.size >= this.#limit && this.#pages.size > 0 && this.#waiting.size < this.#limit) {
      const page = this.#pages.keys().next().value as OpenPage;
      this.#pages.delete(page);
      page.giveUp();
      this.#forget();
    }
    if (this.#ids.size < this.#limit) return;
    // Only removals that the store has not taken are left: the oldest is given up and may be delivered once more.
    const id = this.#waiting.keys().next().value as MessageId;
    this.#waiting.delete(id);
    this.#ids.delete(id);
    this.#counters.removalsGivenUp += 1;
    if (this.#givenUpLogged) return;
    this.#givenUpLogged = true;
    this.#logger.warn(
      { limit: this.#limit },
      "too many acknowledged messages wait for the store: the oldest stay stored and may be delivered again",
    );
  }
}
