// Sees to it that new messages get ids above those in the store, also when the clock is behind them after a restart:
// publish order is the order of ids.
//
// A store that is away when the broker starts is not waited for. What is published before the store has told its newest id
// waits for that instead; a message whose id turns out to be too low is refused, and gets a higher one when it comes again.

import type { Logger } from "../mqtt/logger.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import { StoreUnavailableError } from "../store/errors.ts";
import type { Store } from "../store/store.ts";

export class IdsAboveStored {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #found: (id: MessageId) => void;
  /** The newest id that was stored when the store was first asked with success; empty: none was. Absent: not known yet. */
  #first: MessageId | undefined;
  #asking: Promise<void> | undefined;

  /** `found` is called with the newest id in the store. */
  constructor(store: Store, logger: Logger, found: (id: MessageId) => void) {
    this.#store = store;
    this.#logger = logger;
    this.#found = found;
  }

  /** Asks the store, unless that is under way. Never rejects. */
  async ask(): Promise<void> {
    await this.#ask().catch((error: unknown) => {
      this.#logger.debug({ err: error }, "the last message id could not be read yet");
    });
  }

  /** To be called before a message is stored; undefined: go on. Rejects with `StoreError` when it must not be stored now. */
  check(id: MessageId): Promise<void> | undefined {
    return this.#first === undefined ? this.#checkLater(id) : undefined;
  }

  async #checkLater(id: MessageId): Promise<void> {
    await this.#ask();
    if (this.#first !== undefined && id <= this.#first) {
      throw new StoreUnavailableError("Newer messages than this one were stored before: publish it again.");
    }
  }

  #ask(): Promise<void> {
    this.#asking ??= this.#read().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #read(): Promise<void> {
    const id = await this.#store.lastMessageId();
    try {
      if (id !== undefined) this.#found(id);
      this.#first ??= id ?? "";
    } catch (error) {
      this.#first ??= "";
      this.#logger.warn({ err: error }, "new messages get lower ids than one in the store");
    }
  }
}
