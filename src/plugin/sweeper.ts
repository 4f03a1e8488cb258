// Removes what has expired, page by page, at regular times: messages by `message_ttl` and by their own expiry,
// subscriptions by `subscription_ttl`.

import type { Logger } from "../mqtt/logger.ts";
import type { Store } from "../store/store.ts";
import type { Counters } from "./counters.ts";

/** Messages or clients in one page. */
const PAGE = 500;

export interface SweeperOptions {
  /** Ms between sweeps. */
  readonly interval: number;
  /** Seconds; 0: subscriptions are kept for ever. */
  readonly subscriptionTtl: number;
}

export class Sweeper {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #counters: Counters;
  readonly #options: SweeperOptions;
  readonly #isConnected: (clientId: string) => boolean;
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;
  #stopped = false;

  constructor(
    store: Store,
    logger: Logger,
    counters: Counters,
    options: SweeperOptions,
    isConnected: (clientId: string) => boolean,
  ) {
    this.#store = store;
    this.#logger = logger;
    this.#counters = counters;
    this.#options = options;
    this.#isConnected = isConnected;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#sweeping ??= this.#sweep().finally(() => {
        this.#sweeping = undefined;
      });
    }, this.#options.interval);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    try {
      await this.#sweepMessages();
      if (this.#options.subscriptionTtl > 0) await this.#sweepSubscriptions();
    } catch (error) {
      // The store says why it is away when its health changes; the next sweep comes by itself.
      this.#logger.debug({ err: error }, "a sweep was cut short");
    }
  }

  async #sweepMessages(): Promise<void> {
    let removed = PAGE;
    while (removed >= PAGE && !this.#stopped) {
      removed = await this.#store.expire(Date.now(), PAGE);
      this.#counters.expired += removed;
    }
  }

  async #sweepSubscriptions(): Promise<void> {
    let clientIds: string[];
    do {
      const now = Date.now();
      clientIds = await this.#store.listStaleClients(now - this.#options.subscriptionTtl * 1000, PAGE);
      const connected = clientIds.filter((clientId) => this.#isConnected(clientId));
      if (connected.length > 0) await this.#store.touchSubscriptions(connected, now);
      for (const clientId of clientIds) {
        if (this.#isConnected(clientId)) continue;
        const subscriptions = await this.#store.listSubscriptions(clientId);
        await Promise.all(
          subscriptions.map(({ topicFilter }) => this.#store.deleteSubscription(clientId, topicFilter)),
        );
      }
    } while (clientIds.length >= PAGE && !this.#stopped);
  }
}
