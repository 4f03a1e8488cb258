// The hookpoints: what the broker tells its plugin, by EMQX's names (client.connected is `clientConnected`, and so on).
//
// All but `messagePublish` and `listPacketIds` are notifications: they return at once and work on afterwards. `messageRouted` and
// `deliveryDropped` tell what only a host with its own router knows.

import type { Message } from "../mqtt/message.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import type { ReasonCode } from "../mqtt/reason-code.ts";
import type { Subscription, SubscriptionRequest } from "../mqtt/subscription.ts";
import type { MessageKey, PacketIdOfMessage } from "../store/store.ts";
import type { ReplayTarget } from "./host.ts";

export type { MessageKey, PacketIdOfMessage };

export interface ConnectedClient {
  readonly clientId: string;
  /** The server made up the Client Identifier: nobody can come back under it. */
  readonly clientIdAssigned: boolean;
  /** How many QoS 1 and 2 messages may be unacknowledged: the lower of the client's Receive Maximum and the host's own limit. */
  readonly receiveMaximum: number;
  /** The subscriptions that a resumed session holds; empty for a new session. */
  readonly subscriptions: readonly SubscriptionRequest[];
  /** Messages of QoS 1 and 2 that a resumed session still owes the client, in flight or queued. */
  readonly pending: readonly MessageKey[];
}

export interface SubscribedEvent {
  /** The client did not hold this filter before. */
  readonly isNew: boolean;
  /** Made by `Host.restoreSubscription`. */
  readonly restored: boolean;
  /** See `ConnectedClient`. */
  readonly clientIdAssigned: boolean;
}

export interface DeliveredEvent {
  /** The QoS of this delivery. */
  readonly qos: 0 | 1 | 2;
  /** Sent on subscribe as a retained message. */
  readonly retained: boolean;
}

/**
 * - `queue_full`: it was not taken on (no `messageDelivered` was called for it).
 * - `too_large`: taken on by an earlier connection, and above the Maximum Packet Size of this one.
 * - `unsubscribed`: taken on, and its subscription ended before it was sent.
 */
export type DropReason = "queue_full" | "too_large" | "unsubscribed";

/** A publish that was not taken. The message must not be routed. */
export interface Refusal {
  /** Temporary: the client may send it again with success. */
  readonly temporary: boolean;
  /** Close a client whose protocol has no reason codes after a delay that grows with each refusal. */
  readonly delayClose: boolean;
  /** For a permanent refusal, what a client without reason codes sees: `close` or `acknowledge`. */
  readonly onUnstorable: "close" | "acknowledge";
  readonly reasonCode: ReasonCode;
  readonly reasonString: string;
}

/**
 * - `pass`: the plugin has no interest in it; route it.
 * - `stored`: durable; route it, then call `messageRouted`.
 * - a refusal.
 */
export type PublishResult = "pass" | "stored" | Refusal;

export interface Hooks {
  /** After CONNACK is written and before anything of the session's queue is sent; `beginCatchUp` may come back within the call. */
  clientConnected(client: ConnectedClient): void;
  /** The connection is gone. The session may live on; if it ends, `sessionTerminated` follows. */
  clientDisconnected(clientId: string): void;
  /** The session is gone for good: discarded, expired, or ended with its connection. */
  sessionTerminated(clientId: string): void;

  /**
   * The subscription is made, by the client or by an administrator; the client of the latter may be away. Nothing, not even retained messages, was
   * sent for it yet. `beginCatchUp` may come back within the call.
   */
  sessionSubscribed(subscription: Subscription, event: SubscribedEvent): void;
  /** The client sent UNSUBSCRIBE (or an administrator did); not at the end of a session. */
  sessionUnsubscribed(clientId: string, topicFilter: string): void;

  /**
   * Before the message is acknowledged to its publisher and before it is routed. Wills included. Never rejects. A QoS 2
   * message of a session that outlives the host comes with its Packet Identifier: what is committed together is known
   * together after a crash.
   */
  messagePublish(message: Message, packetId?: number): PublishResult | Promise<PublishResult>;
  /**
   * Up to `limit` messages above this id that are stored together with the Packet Identifier of their QoS 2 publish,
   * lowest id first. Rejects when the store cannot be asked.
   */
  listPacketIds(after: MessageId, limit: number): Promise<readonly PacketIdOfMessage[]>;
  /**
   * The host has pushed a message that `messagePublish` answered with `stored` to all live subscriptions; `missed` are
   * those it was not pushed to because they are catching up (none of a client that another of its subscriptions
   * brought the message to). Called in the same turn as the routing.
   */
  messageRouted(message: Message, missed: readonly ReplayTarget[]): void;
  /**
   * QoS 1 and 2: the connected client's session has taken the message on (live, retained or replayed).
   * QoS 0: it is written to the socket; if retained, already when it is taken on. Not called for messages that were published with QoS 0.
   */
  messageDelivered(clientId: string, message: MessageKey, event: DeliveredEvent): void;
  /** PUBACK or PUBREC, whatever its reason code. */
  messageAcked(clientId: string, message: MessageKey): void;
  /** A connected client's session does not send this QoS 1 or 2 message; `messageAcked` will not come for it. */
  deliveryDropped(clientId: string, topicFilter: string, message: Message, reason: DropReason): void;
}

/** What only a host tells whose sessions are in another process: they may lose what they had taken on, and the way to them may be full. */
export interface RemoteHooks extends Hooks {
  /**
   * A session will not send this message, although it was taken on or pushed to it: it is free again, and the client's own
   * subscriptions come back to the store for it. Also for a message that the client holds no claim to.
   */
  deliveryLost(clientId: string, message: MessageKey): void;
  /** A session will never send this message, which it had taken on or was pushed: it is free for others. */
  deliveryGivenUp(clientId: string, message: MessageKey): void;
  /** `Host.hasRoomFor` was false for this client, and is true again. */
  clientHasRoom(clientId: string): void;
}
