// What the plugin counts, for metrics and for tests.

import { Histogram } from "./histogram.ts";

/** Of the time that the store takes for a message, in seconds. */
const SAVE_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class Counters {
  /** How long the store took for each message, whether it could store it or not. */
  readonly saveTime = new Histogram(SAVE_SECONDS);
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
