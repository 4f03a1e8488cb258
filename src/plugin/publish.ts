// The write path: stores a message before it is acknowledged, or says why it is refused.

import type { Logger } from "../mqtt/logger.ts";
import type { Message } from "../mqtt/message.ts";
import { lowestIdAt, type MessageId } from "../mqtt/message-id.ts";
import { ReasonCode } from "../mqtt/reason-code.ts";
import { topicMatches } from "../mqtt/topic.ts";
import { StoreInvalidError, StoreLimitError, StoreTooLargeError, StoreUnavailableError } from "../store/errors.ts";
import type { Store } from "../store/store.ts";
import type { Counters } from "./counters.ts";
import type { PublishResult, Refusal } from "./hooks.ts";
import type { IdsAboveStored } from "./ids-above-stored.ts";
import type { PluginOptions } from "./options.ts";

/** The same kind of refusal is logged once in this time, in ms. */
const LOG_INTERVAL = 60_000;

const STORE_AWAY = "The message cannot be stored at the moment: publish it again later.";

type Reason = keyof Counters["refused"];

interface PublishingParts {
  readonly store: Store;
  readonly ids: IdsAboveStored;
  readonly options: PluginOptions;
  readonly logger: Logger;
  readonly counters: Counters;
  /** Called when a message that may have been read from the store will not be routed. */
  readonly notRouted: () => void;
}

export class Publishing {
  /** Messages being stored, or stored and not yet routed by the host. Bounded by what publishers may have unanswered. */
  readonly unrouted = new Set<MessageId>();
  #lastId: MessageId = "";
  readonly #store: Store;
  readonly #ids: IdsAboveStored;
  readonly #options: PluginOptions;
  readonly #logger: Logger;
  readonly #counters: Counters;
  readonly #notRouted: () => void;
  readonly #refusalsLogged = new Map<Reason, { at: number; unlogged: number }>();

  constructor({ store, ids, options, logger, counters, notRouted }: PublishingParts) {
    this.#store = store;
    this.#ids = ids;
    this.#options = options;
    this.#logger = logger;
    this.#counters = counters;
    this.#notRouted = notRouted;
  }

  /** A message with this id was published. */
  seen(id: MessageId): void {
    if (id > this.#lastId) this.#lastId = id;
  }

  /** Not below any id given so far, and below those given from the next millisecond on. */
  get newestId(): MessageId {
    const now = lowestIdAt(Date.now());
    return this.#lastId > now ? this.#lastId : now;
  }

  /** Whether messages of this topic are stored: it matches a configured filter and is not `$SYS/…`. */
  storesTopic(topic: string): boolean {
    if (topic.startsWith("$SYS/")) return false;
    return this.#options.topics.some((topicFilter) => topicMatches(topicFilter, topic));
  }

  /** `packetId` is stored with the message; see `Hooks.messagePublish`. */
  publish(message: Message, packetId?: number): PublishResult | Promise<PublishResult> {
    if (message.qos === 0 || !this.storesTopic(message.topic)) return "pass";
    return this.#save(message, packetId);
  }

  async #save(message: Message, packetId: number | undefined): Promise<PublishResult> {
    const { id } = message;
    this.seen(id);
    this.unrouted.add(id);
    try {
      const checked = this.#ids.check(id);
      if (checked !== undefined) await checked;
      const began = performance.now();
      try {
        await this.#store.saveMessage(message, packetId);
      } finally {
        this.#counters.saveTime.observe((performance.now() - began) / 1000);
      }
      this.#counters.stored += 1;
      return "stored";
    } catch (error) {
      this.unrouted.delete(id);
      this.#notRouted();
      return this.#refuse(message, error);
    }
  }

  #refuse(message: Message, error: unknown): PublishResult {
    const { refusal, reason } = this.#refusal(error);
    // When the store is away, its health is logged instead.
    if (reason !== "unavailable" || !(error instanceof StoreUnavailableError)) this.#log(reason, message, error);
    if (this.#options.onStoreError === "ignore") {
      this.#counters.ignored += 1;
      return "pass";
    }
    this.#counters.refused[reason] += 1;
    return refusal;
  }

  #refusal(error: unknown): { reason: Reason; refusal: Refusal } {
    const { onUnstorable } = this.#options;
    const reasonString = error instanceof Error ? error.message : String(error);
    if (error instanceof StoreLimitError) {
      return {
        reason: "limit",
        refusal: {
          temporary: true,
          delayClose: true,
          onUnstorable,
          reasonCode: ReasonCode.QuotaExceeded,
          reasonString,
        },
      };
    }
    if (error instanceof StoreTooLargeError || error instanceof StoreInvalidError) {
      const tooLarge = error instanceof StoreTooLargeError;
      const reasonCode = tooLarge ? ReasonCode.QuotaExceeded : ReasonCode.TopicNameInvalid;
      return {
        reason: tooLarge ? "tooLarge" : "invalid",
        refusal: { temporary: false, delayClose: true, onUnstorable, reasonCode, reasonString },
      };
    }
    return {
      reason: "unavailable",
      refusal: {
        temporary: true,
        delayClose: false,
        onUnstorable,
        reasonCode: ReasonCode.ImplementationSpecificError,
        // The cause, which may name files and servers, is for the log.
        reasonString: STORE_AWAY,
      },
    };
  }

  #log(reason: Reason, message: Message, error: unknown): void {
    const now = Date.now();
    const last = this.#refusalsLogged.get(reason);
    if (last !== undefined && now - last.at < LOG_INTERVAL) {
      last.unlogged += 1;
      return;
    }
    this.#refusalsLogged.set(reason, { at: now, unlogged: 0 });
    this.#logger.warn(
      { err: error, clientId: message.from, topic: message.topic, sinceLastEntry: last?.unlogged ?? 0 },
      this.#options.onStoreError === "ignore"
        ? "a message is not stored and is let through all the same"
        : "a message is refused because it cannot be stored",
    );
  }
}
