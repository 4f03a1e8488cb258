// The Host: what the plugin asks of the broker that it runs in. Domain words only; no socket, packet or process.

import type { Message } from "../mqtt/message.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";

/**
 * What catches up from the store: one client's subscription, or a shared subscription as a whole (then `clientId` is
 * absent, and `topicFilter` is the full `$share/{ShareName}/{filter}`).
 */
export interface ReplayTarget {
  readonly clientId?: string;
  readonly topicFilter: string;
}

/**
 * - `taken`: the host sends it, in the order of the calls, as its Receive Maximum allows.
 * - `too_large`: above the client's Maximum Packet Size; it will never be sent to this client.
 * - `gone`: the client is not connected or has no such subscription.
 */
export type DeliverResult = "taken" | "too_large" | "gone";

export interface Host {
  /** Messages that are published from now on get ids above this one: it is in the store. */
  giveIdsAbove(id: MessageId): void;

  /**
   * Makes a stored subscription for a connected client, authorised as if the client had asked. The host then calls
   * `sessionSubscribed` with `restored: true`. Nothing happens when the client is gone, holds that filter already, or
   * is not allowed to.
   */
  restoreSubscription(clientId: string, subscription: SubscriptionRequest): void;

  /**
   * Sends a stored message to one connected client under its subscription. Its QoS is the lower of the message's and
   * the subscription's. Messages of its session's queue that are held back for this subscription and were published
   * earlier go first. Calls `messageDelivered` synchronously for QoS 1 and 2, and once it is written to the socket for
   * QoS 0.
   */
  deliver(clientId: string, topicFilter: string, message: Message): DeliverResult;

  /** Whether more may be delivered to the client now. When it may again, the host calls `clientHasRoom`. Absent: always. */
  hasRoomFor?(clientId: string): boolean;

  /**
   * From now on messages that are stored anyway are not pushed to this subscription but reported as missed
   * (`messageRouted`), or held back in the session where that outlives the host: then `messageDelivered` is called. With `holdQueue` (a session is resumed), what its queue has for this subscription is held back
   * until `goLive` or until a later message is replayed; otherwise the queue goes out ahead of what is replayed.
   */
  beginCatchUp(target: ReplayTarget, holdQueue: boolean): void;

  /** These messages were acknowledged, and the store holds them no more: they will not be delivered again. */
  messagesRemoved(messages: readonly { readonly id: MessageId }[]): void;

  /** The subscription has caught up: what was held back goes out, and live messages are pushed again. */
  goLive(target: ReplayTarget): void;
}
