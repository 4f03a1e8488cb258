// Hooks for the moment in which one engine gives way to another: publishes wait for the next one, so that none is let through unstored,
// and so does what changes the store.

import type { Message } from "../mqtt/message.ts";
import type { Subscription } from "../mqtt/subscription.ts";
import type { Hooks, MessageKey, PacketIdOfMessage, PublishResult, RemoteHooks, SubscribedEvent } from "./hooks.ts";

/** Acknowledgements and changes of subscriptions that are kept; with more, the newest are lost: a message comes again. */
const MAX_EVENTS = 100_000;

interface Waiting {
  readonly message: Message;
  readonly packetId: number | undefined;
  readonly resolve: (result: PublishResult | Promise<PublishResult>) => void;
}

/**
 * How many wait is bounded by the host: by the clients' Receive Maximum, and by the bytes that may be unanswered. How long, by
 * whoever calls `handOver`.
 */
export class HeldPublishes implements RemoteHooks {
  readonly #maxEvents: number;
  #waiting: Waiting[] = [];
  #events: ((next: Hooks) => void)[] = [];

  constructor(maxEvents = MAX_EVENTS) {
    this.#maxEvents = maxEvents;
  }

  messagePublish(message: Message, packetId?: number): Promise<PublishResult> {
    return new Promise((resolve) => this.#waiting.push({ message, packetId, resolve }));
  }

  /** Tells the hooks that come next what clients have acknowledged, subscribed and unsubscribed meanwhile. Before they hear of clients. */
  tellEvents(next: Hooks | undefined): void {
    const events = this.#events;
    this.#events = [];
    if (next !== undefined) for (const tell of events) tell(next);
  }

  /** Gives what waits to the hooks that come next, in the order of publishing; without any, it passes. */
  handOver(next: Hooks | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { message, packetId, resolve } of waiting) resolve(next?.messagePublish(message, packetId) ?? "pass");
  }

  /** Of a broker that starts only. */
  async listPacketIds(): Promise<readonly PacketIdOfMessage[]> {
    return [];
  }

  sessionSubscribed(subscription: Subscription, event: SubscribedEvent): void {
    this.#keep((next) => next.sessionSubscribed(subscription, event));
  }

  sessionUnsubscribed(clientId: string, topicFilter: string): void {
    this.#keep((next) => next.sessionUnsubscribed(clientId, topicFilter));
  }

  messageAcked(clientId: string, { id, topic }: MessageKey): void {
    this.#keep((next) => next.messageAcked(clientId, { id, topic }));
  }

  #keep(tell: (next: Hooks) => void): void {
    if (this.#events.length < this.#maxEvents) this.#events.push(tell);
  }

  // The next hooks are told of all clients and their subscriptions when they are attached.
  clientConnected(): void {}
  clientDisconnected(): void {}
  sessionTerminated(): void {}
  messageRouted(): void {}
  messageDelivered(): void {}
  deliveryDropped(): void {}
  deliveryLost(): void {}
  deliveryGivenUp(): void {}
  clientHasRoom(): void {}
}
