// One message on its way to one client.

import type { Message, QoS } from "../mqtt/message.ts";
import type { DeliveryRow } from "./persistence/rows.ts";
import type { SessionSubscription } from "./session-subscription.ts";

export interface Delivery {
  readonly message: Message;
  /** The lower of the message's QoS and that of the subscription. */
  readonly qos: QoS;
  /** The RETAIN flag that the client gets. */
  readonly retain: boolean;
  /** Of all subscriptions of the client that match (MQTT 5, 3.3.2.3.8). */
  readonly subscriptionIdentifiers: readonly number[] | undefined;
  /** The subscription that it goes to; where several overlap, one of them. */
  readonly subscription: SessionSubscription;
  /** A plugin holds it durably: it need not be kept here to be safe. */
  readonly stored: boolean;
  /** Sent on subscribe, as a retained message. */
  readonly retained: boolean;
  /** Where it is kept in broker.db, if it is. */
  saved: DeliveryRow | undefined;
}

/**
 * - `taken`: sent, or waiting in the session.
 * - `too_large`: above the client's Maximum Packet Size.
 * - `dropped`: no room.
 */
export type OfferResult = "taken" | "too_large" | "dropped";

/** `now` gives ms since the epoch; most messages never expire, and asking the clock costs. */
export function isExpired(message: Message, now: () => number): boolean {
  return message.expiresAt !== undefined && message.expiresAt <= now();
}
