// Puts a client's stored subscriptions back when it connects.
//
// The store is asked once for each connection; while it is away the question is repeated. What the client subscribes
// or unsubscribes meanwhile wins over what the store says.

import type { Logger } from "../mqtt/logger.ts";
import type { Subscription } from "../mqtt/subscription.ts";
import type { Store } from "../store/store.ts";
import { Backoff } from "./backoff.ts";
import type { Host } from "./host.ts";
import type { SubscriptionWriter } from "./subscription-writer.ts";

interface Restoration {
  /** Filters that the client unsubscribed since it connected. */
  readonly unsubscribed: Set<string>;
  readonly backoff: Backoff;
}

export class RestoredSubscriptions {
  readonly #host: Host;
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #writer: SubscriptionWriter;
  /** One for each connected client whose subscriptions are not back yet. */
  readonly #underWay = new Map<string, Restoration>();

  constructor(host: Host, store: Store, logger: Logger, writer: SubscriptionWriter) {
    this.#host = host;
    this.#store = store;
    this.#logger = logger;
    this.#writer = writer;
  }

  async restore(clientId: string): Promise<void> {
    this.cancel(clientId);
    const restoration: Restoration = { unsubscribed: new Set(), backoff: new Backoff() };
    this.#underWay.set(clientId, restoration);
    const stored = await this.#list(clientId, restoration);
    if (this.#underWay.get(clientId) !== restoration) return;
    this.#underWay.delete(clientId);
    for (const subscription of stored) {
      if (restoration.unsubscribed.has(subscription.topicFilter)) continue;
      this.#host.restoreSubscription(clientId, subscription);
    }
  }

  /** The client unsubscribed: what the store still says about this filter is out of date. */
  unsubscribed(clientId: string, topicFilter: string): void {
    this.#underWay.get(clientId)?.unsubscribed.add(topicFilter);
  }

  /** The client is gone. */
  cancel(clientId: string): void {
    this.#underWay.get(clientId)?.backoff.stop();
    this.#underWay.delete(clientId);
  }

  retryNow(): void {
    for (const { backoff } of this.#underWay.values()) backoff.endWait();
  }

  stop(): void {
    for (const clientId of [...this.#underWay.keys()]) this.cancel(clientId);
  }

  /** A client's stored subscriptions. What waits to be written counts as if it were. Rejects with `StoreError`. */
  async list(clientId: string): Promise<Subscription[]> {
    return this.#withPending(clientId, await this.#store.listSubscriptions(clientId));
  }

  async #list(clientId: string, { backoff }: Restoration): Promise<Subscription[]> {
    do {
      try {
        return await this.list(clientId);
      } catch (error) {
        this.#logger.debug({ err: error, clientId }, "stored subscriptions could not be read yet");
      }
    } while (await backoff.wait());
    return [];
  }

  #withPending(clientId: string, stored: readonly Subscription[]): Subscription[] {
    const pending = this.#writer.pending(clientId);
    if (pending === undefined) return [...stored];
    const wished = [...pending.values()].flatMap(({ subscription }) => subscription ?? []);
    return [...stored.filter(({ topicFilter }) => !pending.has(topicFilter)), ...wished];
  }
}
