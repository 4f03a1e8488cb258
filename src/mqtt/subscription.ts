// A subscription: who wants which topics, and how.

import type { QoS } from "./message.ts";

/** Subscription Options (MQTT 5, 3.8.3.1) with the filter that they belong to. */
export interface SubscriptionRequest {
  /** The Topic Filter as the client wrote it, `$share/{ShareName}/` included. */
  readonly topicFilter: string;
  /** The highest QoS at which the client wants messages. */
  readonly qos: QoS;
  /** Messages that the client published itself are not sent to it. */
  readonly noLocal: boolean;
  /** The RETAIN flag is sent as it was published, instead of 0. */
  readonly retainAsPublished: boolean;
  /** When retained messages are sent: 0 at every SUBSCRIBE, 1 at a new subscription only, 2 never. */
  readonly retainHandling: 0 | 1 | 2;
  /** 1 to 268,435,455; sent along with each message that matches. */
  readonly subscriptionIdentifier?: number;
}

/** A subscription of one client. */
export interface Subscription extends SubscriptionRequest {
  readonly clientId: string;
}
