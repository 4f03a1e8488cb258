// What the plugin counts, for metrics and for tests.

export class Counters {
  /** Messages stored before they were acknowledged. */
  stored = 0;
  /** Publishes refused because the store failed, by the reason. */
  readonly refused = { unavailable: 0, limit: 0, tooLarge: 0, invalid: 0 };
  /** Publishes let through although they could not be stored (`on_store_error = ignore`). */
  ignored = 0;
  /** Stored messages handed to a client. */
  replayed = 0;
  /** Stored messages acknowledged by a client. */
  acknowledged = 0;
  /** Stored messages that were above the Maximum Packet Size of the client they were for. */
  passedOverTooLarge = 0;
  /** Messages that expired in the store. */
  expired = 0;
  /** Messages dropped to make room (`overflow = drop_oldest`). */
  overflowed = 0;
  /** Messages that a session catching up was not owed any more because the bound was reached. */
  owedBound = 0;
  /** Removals given up because too many were waiting for the store; these messages may be delivered again. */
  removalsGivenUp = 0;
  /** Subscriptions that could not be stored. */
  subscriptionsNotStored = 0;
  /** Subscriptions that were not stored because the store takes them for another one. */
  subscriptionsCollided = 0;
}
