// The keys of the Redis store: those of EMQX's plugin, and one of our own.

import { fromB62, toB62 } from "../../mqtt/base62.ts";
import type { RedisStoreOptions } from "./options.ts";
import { DEFAULT_MESSAGE_KEY_PREFIX, DEFAULT_SUBSCRIPTION_KEY_PREFIX } from "./options.ts";

/** Ids made since 1987 have this many characters in base62 at least, and any id at most. */
const MIN_ID_LENGTH = 47;
const MAX_ID_LENGTH = 52;

/** No topic contains `#`, so nobody can publish to what would have this key. */
const TOPICS_SUFFIX = "#topics";

export class RedisKeys {
  /** Sorted set of all topics, scored by the time of their last store in ms. */
  readonly topics: string;
  /** Keys that nothing is ever stored under, at the node of `topics`: for questions. */
  readonly noMessage: string;
  readonly noSubscriptions: string;
  readonly #messagePrefix: string;
  readonly #subscriptionPrefix: string;

  constructor({ messageKeyPrefix, subscriptionKeyPrefix }: RedisStoreOptions) {
    this.#messagePrefix = `${messageKeyPrefix ?? DEFAULT_MESSAGE_KEY_PREFIX}:`;
    this.#subscriptionPrefix = `${subscriptionKeyPrefix ?? DEFAULT_SUBSCRIPTION_KEY_PREFIX}:`;
    this.topics = this.#messagePrefix + TOPICS_SUFFIX;
    // What is in braces decides about the node. With a U+0000 it is no client id either.
    this.noMessage = `${this.#messagePrefix}#{${this.topics}}`;
    this.noSubscriptions = `${this.#subscriptionPrefix}\0{${this.topics}}`;
  }

  /** Hash of one message, by its id in base62. */
  message(id62: string): string {
    return this.#messagePrefix + id62;
  }

  /** Sorted set of the ids of a topic, scored by the time of storing in ms. */
  topic(topic: string): string {
    return this.#messagePrefix + topic;
  }

  /** Hash of a client's subscriptions, topic filter to QoS. */
  subscriptions(clientId: string): string {
    return this.#subscriptionPrefix + clientId;
  }

  /** Patterns of all keys, as a Redis user is given them. */
  get patterns(): readonly string[] {
    return [`${this.#messagePrefix}*`, `${this.#subscriptionPrefix}*`];
  }

  /** What all keys of messages and topics begin with. */
  get messagePrefix(): string {
    return this.#messagePrefix;
  }
}

/** Whether a topic is written as the id of a message, so that the keys of both would be the same. */
export function readsAsMessageId(topic: string): boolean {
  if (topic.length < MIN_ID_LENGTH || topic.length > MAX_ID_LENGTH) return false;
  try {
    return toB62(fromB62(topic)) === topic;
  } catch {
    return false;
  }
}
