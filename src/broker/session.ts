// A client's session: subscriptions, what waits for the client, what is in flight to it, and its QoS 2 publishes.
//
// It outlives connections. While the client is connected, the session sends through its `ClientLink`; what cannot be
// sent now (the window is full, the socket is slow, the client is away) waits in the queue, as references.

import type { Message } from "../mqtt/message.ts";
import { detachPayload } from "../mqtt/payload.ts";
import type { ReasonCode } from "../mqtt/reason-code.ts";
import type { RepeatedWarning } from "../mqtt/repeated-warning.ts";
import type { ConnectedClient, DropReason } from "../plugin/hooks.ts";
import { byId, holdBack, leaveCatchUp, mergeById } from "./catch-up.ts";
import type { ClientInfo } from "./client-info.ts";
import { type Delivery, isExpired, type OfferResult } from "./delivery.ts";
import type { HookRunner } from "./hook-runner.ts";
import { IncomingPublishes } from "./incoming-publishes.ts";
import { Inflight, type InflightEntry } from "./inflight.ts";
import type { Metrics } from "./metrics.ts";
import type { Persistence } from "./persistence/persistence.ts";
import type { SessionRow } from "./persistence/rows.ts";
import { type QueueLimits, SessionQueue } from "./session-queue.ts";
import type { SessionSubscription } from "./session-subscription.ts";

/** The connection as its session sees it. */
export interface ClientLink {
  /** How many QoS 1 and 2 messages may be unacknowledged. */
  readonly window: number;
  /** Too many bytes wait for the socket. */
  readonly isCongested: boolean;
  /** Whether the client takes packets of that size. */
  fits(delivery: Delivery): boolean;
  sendPublish(delivery: Delivery, packetId: number, dup: boolean): void;
  sendPubrel(packetId: number): void;
  /** What is sent from now on leaves when all that has changed so far is saved. */
  hold(): void;
  /** Ends the connection: another has come for the session, somebody wants the client to go, or the broker stops. */
  dismiss(reasonCode: ReasonCode, reasonString: string): void;
}

export interface SessionContext {
  readonly hooks: HookRunner;
  readonly metrics: Metrics;
  readonly options: QueueLimits;
  readonly persistence: Persistence;
  readonly queueFull: RepeatedWarning;
  /** Ms since the epoch. */
  now(): number;
}

export class Session {
  readonly clientId: string;
  /** The server made up the Client Identifier. */
  readonly clientIdAssigned: boolean;
  /** How long the session outlives its connection, in seconds; infinite: for ever. */
  expiryInterval = 0;
  /** Ms since the epoch. */
  readonly createdAt: number;
  /** The client's connection, or its last one; absent: it has not connected since the broker was started. */
  client: ClientInfo | undefined;
  /** When the session ends, in ms since the epoch; meaningful while the client is away. */
  expiresAt = Number.POSITIVE_INFINITY;
  readonly subscriptions = new Map<string, SessionSubscription>();
  readonly inflight: Inflight;
  readonly incoming: IncomingPublishes;
  readonly queue: SessionQueue;
  /** Messages that its queue had no room for, and that no plugin stores. */
  dropped = 0;
  /** Where it is kept in broker.db, if it is. */
  saved: SessionRow | undefined;
  /** Used by the router to merge overlapping subscriptions. */
  routeMark = 0;
  routeSlot = 0;

  readonly #context: SessionContext;
  #link: ClientLink | undefined;
  /** Off between CONNACK and the end of `clientConnected`. */
  #sending = false;

  /** `createdAt` in ms since the epoch; absent: now. */
  constructor(context: SessionContext, clientId: string, clientIdAssigned: boolean, createdAt = context.now()) {
    this.#context = context;
    this.clientId = clientId;
    this.clientIdAssigned = clientIdAssigned;
    this.createdAt = createdAt;
    this.incoming = new IncomingPublishes(this, context.persistence);
    this.inflight = new Inflight(context.metrics);
    this.queue = new SessionQueue(context.options, context.metrics);
  }

  get link(): ClientLink | undefined {
    return this.#link;
  }

  get isConnected(): boolean {
    return this.#link !== undefined;
  }

  /** Whether a QoS 1 or 2 message would be sent at once. */
  get hasRoom(): boolean {
    return this.queue.length === 0 && this.#canSend;
  }

  get #canSend(): boolean {
    const link = this.#link;
    return (
      link !== undefined &&
      this.#sending &&
      this.inflight.active < link.window &&
      !link.isCongested &&
      this.inflight.peekResend() === undefined
    );
  }

  /** The client has connected. Nothing is sent before `startSending`. */
  attach(link: ClientLink, client: ClientInfo): void {
    this.#link = link;
    this.client = client;
    this.#sending = false;
    this.inflight.beginResend();
  }

  /** Sends again what is in flight [MQTT-4.4.0-1], then what waits. */
  startSending(): void {
    this.#sending = true;
    this.drain();
  }

  /** The connection is gone: what was held back waits in the queue again, in publish order. */
  detach(): void {
    this.#link = undefined;
    this.#sending = false;
    const held: Delivery[] = [];
    for (const subscription of this.subscriptions.values()) held.push(...leaveCatchUp(subscription));
    this.queue.take((delivery) => delivery.qos === 0);
    this.queue.merge(held);
  }

  /** What a plugin is told of the client that has connected. */
  connectedClient(receiveMaximum: number, isPresent: boolean): ConnectedClient {
    return {
      clientId: this.clientId,
      clientIdAssigned: this.clientIdAssigned,
      receiveMaximum,
      subscriptions: isPresent ? [...this.subscriptions.values()].map(({ request }) => request) : [],
      pending: isPresent ? this.#pendingMessages() : [],
    };
  }

  /** QoS 1 and 2 messages that the client has not acknowledged, in flight first. */
  #pendingMessages(): Message[] {
    const pending: Message[] = [];
    for (const { state, delivery } of this.inflight) if (state === "published") pending.push(delivery.message);
    for (const { message } of this.queue) pending.push(message);
    return pending;
  }

  /**
   * Takes a message for the client. With `unbounded` the queue's limit does not count, and QoS 0 waits for a slow reader
   * instead of being dropped; the caller bounds it. Retained messages are limited by how many the broker keeps.
   */
  offer(delivery: Delivery, unbounded = false): OfferResult {
    const { metrics, hooks } = this.#context;
    const link = this.#link;
    if (link !== undefined && !link.fits(delivery)) {
      metrics.dropped.tooLarge += 1;
      return "too_large";
    }
    if (delivery.qos === 0) return this.#offerQos0(delivery, unbounded);
    if (this.queue.length === 0 && this.#canSend && !isExpired(delivery.message, this.#context.now)) {
      this.#send(delivery);
    } else if (!unbounded && this.queue.isFull(delivery) && !this.#makeRoomFor(delivery)) {
      this.#noRoomFor(delivery);
      if (link !== undefined) this.#tellDropped(delivery, "queue_full");
      return "dropped";
    } else {
      this.#enqueue(delivery);
    }
    if (link !== undefined) {
      hooks.messageDelivered(this.clientId, delivery.message, delivery);
      // What is expired waited behind nothing: it goes now, after its delivery was told.
      if (this.queue.length === 1) this.drain();
    }
    return "taken";
  }

  /**
   * A stored message comes while its subscription catches up: a session that outlives the broker keeps it, held back,
   * since nobody else will know after a kill that it is owed. Returns false where it is left to the store.
   */
  holdBack(delivery: Delivery): boolean {
    if (this.saved === undefined || delivery.qos === 0) return false;
    if (this.queue.isFull(delivery) || !this.#link?.fits(delivery)) return false;
    detachPayload(delivery.message);
    this.#context.persistence.keepDelivery(this, delivery);
    holdBack(delivery);
    this.#context.hooks.messageDelivered(this.clientId, delivery.message, delivery);
    return true;
  }

  /** The delivery has left the session for good, other than by an acknowledgement. */
  letGo(delivery: Delivery): void {
    this.#context.persistence.endDelivery(delivery);
  }

  /** Puts a delivery back that the session had taken before. */
  requeue(delivery: Delivery): void {
    this.#enqueue(delivery);
    if (this.queue.length === 1) this.drain();
  }

  /** Takes out of the queue, in the order of message ids, what `which` names. */
  takeQueued(which: (delivery: Delivery) => boolean): Delivery[] {
    return this.queue.take((delivery) => delivery.qos > 0 && which(delivery)).sort(byId);
  }

  /**
   * What of shared subscriptions another member may get when the session ends: what waits, and what was sent with QoS 1
   * and not acknowledged [MQTT-4.8.2-4, -5].
   */
  takeShared(): Delivery[] {
    const shared = this.takeQueued((delivery) => delivery.subscription.group !== undefined);
    const unacknowledged: Delivery[] = [];
    for (const { delivery } of this.inflight) {
      if (delivery.qos === 1 && delivery.subscription.group !== undefined) unacknowledged.push(delivery);
    }
    return mergeById(unacknowledged.sort(byId), shared);
  }

  /** Sends what may be sent now. Safe to be called from within a hook that it calls. */
  drain(): void {
    for (let link = this.#link; link !== undefined && this.#sending && !link.isCongested; link = this.#link) {
      const again = this.inflight.peekResend();
      if (again !== undefined) {
        if (again.state === "published" && !link.fits(again.delivery)) {
          this.#finish(again);
          this.#dropTooLarge(again.delivery);
          continue;
        }
        if (again.state === "published" && this.inflight.active >= link.window) return;
        this.inflight.resent(again);
        if (again.state === "released") this.#release(link, again);
        else this.#publish(link, again.delivery, again.packetId, true);
        continue;
      }
      const delivery = this.queue.peek();
      if (delivery === undefined) return;
      if (delivery.qos > 0 && this.inflight.active >= link.window) return;
      this.queue.shift();
      if (isExpired(delivery.message, this.#context.now)) this.#dropExpired(delivery);
      else if (link.fits(delivery)) this.#send(delivery);
      else this.#dropTooLarge(delivery);
    }
  }

  /** PUBACK. Returns whether its Packet Identifier was in use. */
  puback(packetId: number): boolean {
    const entry = this.inflight.get(packetId);
    if (entry === undefined || entry.delivery.qos !== 1) return false;
    this.#finish(entry);
    this.#acknowledged(entry.delivery);
    this.drain();
    return true;
  }

  /** PUBREC; a refusal ends the delivery [MQTT-4.3.3-4]. Returns whether the Packet Identifier was in use. */
  pubrec(packetId: number, isRefusal: boolean): boolean {
    const entry = this.inflight.get(packetId);
    if (entry === undefined || entry.delivery.qos !== 2) return false;
    const isFirst = entry.state === "published";
    if (isRefusal) this.#finish(entry);
    else this.#released(entry);
    if (isFirst) this.#acknowledged(entry.delivery);
    if (isRefusal) this.drain();
    return true;
  }

  /** PUBCOMP. Returns whether its Packet Identifier was in use. */
  pubcomp(packetId: number): boolean {
    const entry = this.inflight.get(packetId);
    if (entry === undefined || entry.state !== "released") return false;
    this.#finish(entry);
    this.drain();
    return true;
  }

  #offerQos0(delivery: Delivery, unbounded: boolean): OfferResult {
    const link = this.#link;
    if (link === undefined) return "dropped";
    if (!link.isCongested && this.#sending) {
      link.sendPublish(delivery, 0, false);
    } else if (unbounded || (delivery.retained && !this.queue.isFull(delivery))) {
      this.#enqueue(delivery);
    } else {
      this.#context.metrics.dropped.slowReader += 1;
      return "dropped";
    }
    // Others are told when they are written.
    if (delivery.retained && delivery.message.qos > 0) {
      this.#context.hooks.messageDelivered(this.clientId, delivery.message, delivery);
    }
    return "taken";
  }

  /** What a plugin sends again when the client is back makes room for what it does not; returns whether there is. */
  #makeRoomFor(delivery: Delivery): boolean {
    if (this.#link !== undefined || delivery.stored || delivery.retained) return false;
    const dropped = this.queue.makeRoomFor(delivery);
    this.#context.metrics.leftToStore += dropped.length;
    for (const one of dropped) this.letGo(one);
    return !this.queue.isFull(delivery);
  }

  #noRoomFor({ message, stored }: Delivery): void {
    const { metrics, queueFull } = this.#context;
    if (stored) {
      metrics.leftToStore += 1;
      return;
    }
    this.dropped += 1;
    metrics.dropped.queueFull += 1;
    queueFull.warn({ clientId: this.clientId, topic: message.topic });
  }

  #enqueue(delivery: Delivery): void {
    detachPayload(delivery.message);
    if (this.saved !== undefined && delivery.qos > 0) this.#context.persistence.keepDelivery(this, delivery);
    this.queue.push(delivery);
  }

  #send(delivery: Delivery): void {
    const link = this.#link as ClientLink;
    if (delivery.qos === 0) {
      link.sendPublish(delivery, 0, false);
      return;
    }
    detachPayload(delivery.message);
    const { packetId } = this.inflight.add(delivery);
    if (this.saved !== undefined) {
      this.#context.persistence.keepDelivery(this, delivery);
      this.#context.persistence.deliverySent(delivery, packetId);
    }
    this.#publish(link, delivery, packetId, false);
  }

  /** A QoS 2 message does not leave before its Packet Identifier is saved: another message must never get that. */
  #publish(link: ClientLink, delivery: Delivery, packetId: number, dup: boolean): void {
    if (this.saved !== undefined && delivery.qos === 2) link.hold();
    link.sendPublish(delivery, packetId, dup);
  }

  /** That PUBREC has come is saved before PUBREL leaves: after that, the client would take the message for a new one. */
  #release(link: ClientLink, { packetId }: InflightEntry): void {
    if (this.saved !== undefined) link.hold();
    link.sendPubrel(packetId);
  }

  #released(entry: InflightEntry): void {
    entry.state = "released";
    this.#context.persistence.deliveryReleased(entry.delivery);
  }

  #finish(entry: InflightEntry): void {
    this.inflight.remove(entry);
    this.#context.persistence.endDelivery(entry.delivery);
  }

  #acknowledged(delivery: Delivery): void {
    const { metrics, hooks, persistence } = this.#context;
    metrics.messagesAcked += 1;
    const { message } = delivery;
    if (message.qos < 2) hooks.messageAcked(this.clientId, message);
    else persistence.whenPublishSaved(message.id, () => hooks.messageAcked(this.clientId, message));
  }

  /** Taken on by an earlier connection, and above the Maximum Packet Size of this one. */
  #dropTooLarge(delivery: Delivery): void {
    this.letGo(delivery);
    this.#context.metrics.dropped.tooLarge += 1;
    this.#tellDropped(delivery, "too_large");
  }

  /** Tells a plugin that this client does not get a message that it stores. */
  #tellDropped({ message, qos, stored, subscription }: Delivery, reason: DropReason): void {
    if (!stored || qos === 0) return;
    this.#context.hooks.deliveryDropped(this.clientId, subscription.request.topicFilter, message, reason);
  }

  /**
   * An expired message is gone for everybody [MQTT-3.3.2-5]; for a plugin that waits for its acknowledgement, that is
   * the same as one.
   */
  #dropExpired(delivery: Delivery): void {
    this.letGo(delivery);
    this.#context.metrics.dropped.expired += 1;
    queueMicrotask(() => this.#context.hooks.messageAcked(this.clientId, delivery.message));
  }
}
