// Writes subscriptions to the store as clients subscribe and unsubscribe, and tries again while the store is away.
//
// For each client and filter only the newest wish counts. The number of wishes that wait is bounded.

import type { Logger } from "../mqtt/logger.ts";
import type { Subscription } from "../mqtt/subscription.ts";
import { StoreError } from "../store/errors.ts";
import type { Store } from "../store/store.ts";
import { Backoff } from "./backoff.ts";
import type { Counters } from "./counters.ts";

interface Wish {
  readonly clientId: string;
  readonly topicFilter: string;
  /** Absent: delete it. */
  readonly subscription?: Subscription;
}

export class SubscriptionWriter {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #counters: Counters;
  readonly #limit: number;
  /** Wishes that the store has not taken yet, by client and filter. */
  readonly #pending = new Map<string, Map<string, Wish>>();
  #pendingCount = 0;
  /** Wishes that failed and wait for another try, in order. */
  readonly #failed = new Set<Wish>();
  #retrying: Promise<void> | undefined;
  readonly #writes = new Set<Promise<void>>();
  readonly #backoff = new Backoff();
  #limitLogged = false;

  constructor(store: Store, logger: Logger, counters: Counters, limit: number) {
    this.#store = store;
    this.#logger = logger;
    this.#counters = counters;
    this.#limit = limit;
  }

  save(subscription: Subscription): void {
    const { clientId, topicFilter } = subscription;
    this.#add({ clientId, topicFilter, subscription });
  }

  delete(clientId: string, topicFilter: string): void {
    this.#add({ clientId, topicFilter });
  }

  /** Deletes a subscription in the place of what waits for it; settles when that is durable. Rejects with `StoreError`: then nothing is changed. */
  async remove(clientId: string, topicFilter: string): Promise<void> {
    const older = this.#pending.get(clientId)?.get(topicFilter);
    if (older !== undefined) this.#drop(older);
    try {
      await this.#store.deleteSubscription(clientId, topicFilter);
    } catch (error) {
      if (older !== undefined && !this.#pending.get(clientId)?.has(topicFilter)) this.#add(older);
      throw error;
    }
  }

  /** The newest wish that is not in the store yet: `undefined` when there is none. */
  pending(clientId: string): ReadonlyMap<string, { readonly subscription?: Subscription }> | undefined {
    return this.#pending.get(clientId);
  }

  retryNow(): void {
    this.#backoff.endWait();
  }

  /** Resolves when what was begun has ended; what could not be written is given up and logged. */
  async stop(): Promise<void> {
    this.#backoff.stop();
    await this.#retrying;
    await Promise.all(this.#writes);
    if (this.#pendingCount > 0) {
      this.#logger.warn({ subscriptions: this.#pendingCount }, "subscriptions were not stored: the store was away");
    }
  }

  #add(wish: Wish): void {
    let wishes = this.#pending.get(wish.clientId);
    const older = wishes?.get(wish.topicFilter);
    if (older !== undefined) this.#drop(older);
    else if (this.#pendingCount >= this.#limit) {
      this.#notStored("too many subscriptions wait for the store: this one is not stored", wish);
      return;
    }
    wishes = this.#pending.get(wish.clientId);
    if (wishes === undefined) {
      wishes = new Map();
      this.#pending.set(wish.clientId, wishes);
    }
    wishes.set(wish.topicFilter, wish);
    this.#pendingCount += 1;
    const write = this.#write(wish).then((done) => {
      this.#writes.delete(write);
      if (!done) this.#retryLater(wish);
    });
    this.#writes.add(write);
  }

  /** Returns false when it has to be tried again. */
  async #write(wish: Wish): Promise<boolean> {
    const { clientId, topicFilter, subscription } = wish;
    try {
      if (subscription === undefined) await this.#store.deleteSubscription(clientId, topicFilter);
      else await this.#store.saveSubscription(subscription);
    } catch (error) {
      if (!(error instanceof StoreError) || !error.temporary) {
        this.#notStored("a subscription could not be stored: it will not come back by itself", wish, error);
      } else if (this.#isNewest(wish)) {
        return false;
      }
    }
    this.#drop(wish);
    return true;
  }

  #retryLater(wish: Wish): void {
    if (!this.#isNewest(wish)) return;
    this.#failed.add(wish);
    this.#retrying ??= this.#retry();
  }

  async #retry(): Promise<void> {
    while (this.#failed.size > 0 && (await this.#backoff.wait())) {
      for (const wish of [...this.#failed]) {
        if (!(await this.#write(wish))) break;
        this.#failed.delete(wish);
        this.#backoff.reset();
      }
    }
    this.#retrying = undefined;
  }

  #isNewest(wish: Wish): boolean {
    return this.#pending.get(wish.clientId)?.get(wish.topicFilter) === wish;
  }

  #drop(wish: Wish): void {
    this.#failed.delete(wish);
    if (!this.#isNewest(wish)) return;
    const wishes = this.#pending.get(wish.clientId);
    wishes?.delete(wish.topicFilter);
    if (wishes?.size === 0) this.#pending.delete(wish.clientId);
    this.#pendingCount -= 1;
    if (this.#pendingCount === 0) this.#limitLogged = false;
  }

  #notStored(message: string, { clientId, topicFilter }: Wish, error?: unknown): void {
    this.#counters.subscriptionsNotStored += 1;
    if (error === undefined && this.#limitLogged) return;
    if (error === undefined) this.#limitLogged = true;
    this.#logger.warn({ err: error, clientId, topicFilter }, message);
  }
}
