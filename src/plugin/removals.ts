// Removes messages from the store: acknowledged ones in batches, and those that somebody asks to be removed. Remembers them while
// a page read earlier may name them.
//
// A page that was read before a message's removal became durable still names that message, although it was acknowledged
// meanwhile. So each page is opened before it is read and closed when it is used up; a removed id is forgotten only
// when every page still open was opened after its removal was durable. When too many ids would have to be remembered,
// the oldest open page is given up (its replay reads it again) instead of forgetting an id.

import type { Logger } from "../mqtt/logger.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import { StoreUnavailableError } from "../store/errors.ts";
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
  readonly #whenRemoved: (keys: readonly MessageKey[]) => void;
  readonly #whenKept: (keys: readonly MessageKey[]) => void;
  /** Every id that must not be sent: waiting for its removal (false), or removed and not forgotten (true). */
  readonly #ids = new Map<MessageId, boolean>();
  /** Waiting for the store, in the order of acknowledgement. */
  #waiting: MessageKey[] = [];
  /** Those that `remove` is removing, and whether a client has acknowledged one meanwhile. */
  readonly #asked = new Map<MessageId, boolean>();
  /** Being removed now. */
  #underWay: MessageKey[] = [];
  /** Removed, with the count of `#removed` then, to be forgotten from the front. */
  readonly #forgettable: { readonly removed: number; readonly keys: readonly MessageKey[] }[] = [];
  /** Open pages and the count of `#removed` when each was opened; the first is the oldest. */
  readonly #pages = new Map<OpenPage, number>();
  #removed = 0;
  #flushing: Promise<void> | undefined;
  readonly #backoff = new Backoff();
  #givenUpLogged = false;

  /**
   * `whenRemoved` is called with what is durably removed, each time that it was added; `whenKept` with what could not be removed
   * as it was asked for: replays may have passed it over.
   */
  constructor(
    store: Store,
    logger: Logger,
    counters: Counters,
    limit: number,
    whenRemoved: (keys: readonly MessageKey[]) => void,
    whenKept: (keys: readonly MessageKey[]) => void,
  ) {
    this.#store = store;
    this.#logger = logger;
    this.#counters = counters;
    this.#limit = limit;
    this.#whenRemoved = whenRemoved;
    this.#whenKept = whenKept;
  }

  /** Whether the message was acknowledged and must not be sent from a page. */
  has(id: MessageId): boolean {
    return this.#ids.has(id);
  }

  get size(): number {
    return this.#ids.size;
  }

  add(key: MessageKey): void {
    const isRemoved = this.#ids.get(key.id);
    if (isRemoved !== undefined) {
      if (isRemoved) this.#whenRemoved([key]);
      else if (this.#asked.has(key.id)) this.#asked.set(key.id, true);
      return;
    }
    if (this.#ids.size >= this.#limit && !this.#makeRoom()) return;
    this.#ids.set(key.id, false);
    this.#waiting.push(key);
    this.#flushing ??= this.#flush();
  }

  /** Removes messages that nobody has acknowledged; settles when that is durable. Rejects with `StoreError`: then they are stored still. */
  async remove(keys: readonly MessageKey[]): Promise<void> {
    const own: MessageKey[] = [];
    try {
      for (const key of keys) {
        if (this.#ids.has(key.id)) continue;
        if (this.#ids.size >= this.#limit && !this.#makeRoom()) {
          throw new StoreUnavailableError("Too many removals wait for the store: try again later.");
        }
        this.#ids.set(key.id, false);
        this.#asked.set(key.id, false);
        own.push(key);
      }
      await this.#store.deleteMessages(keys);
    } catch (error) {
      this.#keep(own);
      throw error;
    }
    for (const { id } of own) this.#asked.delete(id);
    this.#noteRemoved(own);
  }

  /** Messages are stored once more under these ids: what is remembered of their removal does not count any more. */
  forget(ids: readonly MessageId[]): void {
    const again = new Set(ids.filter((id) => this.#ids.get(id) === true && this.#ids.delete(id)));
    if (again.size === 0) return;
    for (const [at, { removed, keys }] of this.#forgettable.entries()) {
      this.#forgettable[at] = { removed, keys: keys.filter(({ id }) => !again.has(id)) };
    }
  }

  /** They are stored still. What was acknowledged meanwhile is removed as soon as the store takes it. */
  #keep(keys: readonly MessageKey[]): void {
    const kept: MessageKey[] = [];
    for (const key of keys) {
      if (this.#asked.get(key.id)) this.#waiting.push(key);
      else if (this.#ids.delete(key.id)) kept.push(key);
      this.#asked.delete(key.id);
    }
    if (this.#waiting.length > 0) this.#flushing ??= this.#flush();
    if (kept.length > 0) this.#whenKept(kept);
  }

  /** To be called before the page is read. */
  openPage(page: OpenPage): void {
    this.#pages.set(page, this.#removed);
  }

  closePage(page: OpenPage): void {
    if (this.#pages.delete(page)) this.#forgetOld();
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
    while (this.#waiting.length > 0 || this.#underWay.length > 0) {
      if (this.#underWay.length === 0) this.#underWay = this.#waiting.splice(0, BATCH);
      try {
        await this.#store.deleteMessages(this.#underWay);
        this.#backoff.reset();
        const keys = this.#underWay;
        this.#underWay = [];
        this.#noteRemoved(keys);
      } catch (error) {
        this.#logger.debug({ err: error }, "acknowledged messages are not removed yet");
        if (!(await this.#backoff.wait())) break;
      }
    }
    this.#flushing = undefined;
  }

  #noteRemoved(keys: readonly MessageKey[]): void {
    this.#removed += 1;
    for (const { id } of keys) this.#ids.set(id, true);
    this.#forgettable.push({ removed: this.#removed, keys });
    this.#whenRemoved(keys);
    this.#forgetOld();
  }

  /** Forgets what no page that is open can name. */
  #forgetOld(): void {
    const oldest: number = this.#pages.values().next().value ?? Number.POSITIVE_INFINITY;
    let first = this.#forgettable[0];
    while (first !== undefined && first.removed <= oldest) {
      for (const { id } of first.keys) this.#ids.delete(id);
      this.#forgettable.shift();
      first = this.#forgettable[0];
    }
  }

  /** Returns false when only removals that the store has not taken are left. */
  #makeRoom(): boolean {
    while (this.#ids.size >= this.#limit && this.#pages.size > 0 && this.#forgettable.length > 0) {
      const page = this.#pages.keys().next().value as OpenPage;
      this.#pages.delete(page);
      page.giveUp();
      this.#forgetOld();
    }
    if (this.#ids.size < this.#limit) return true;
    this.#counters.removalsGivenUp += 1;
    if (this.#givenUpLogged) return false;
    this.#givenUpLogged = true;
    this.#logger.warn(
      { limit: this.#limit },
      "too many acknowledged messages wait for the store: more of them stay stored and may be delivered again",
    );
    return false;
  }
}
