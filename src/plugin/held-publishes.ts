// Hooks for the moment in which one engine gives way to another: publishes wait for the next one, so that none is let through unstored.

import type { Message } from "../mqtt/message.ts";
import type { Hooks, PacketIdOfMessage, PublishResult, RemoteHooks } from "./hooks.ts";

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
  #waiting: Waiting[] = [];

  messagePublish(message: Message, packetId?: number): Promise<PublishResult> {
    return new Promise((resolve) => this.#waiting.push({ message, packetId, resolve }));
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

  // The next hooks are told of all clients and their subscriptions when they are attached.
  clientConnected(): void {}
  clientDisconnected(): void {}
  sessionTerminated(): void {}
  sessionSubscribed(): void {}
  sessionUnsubscribed(): void {}
  messageRouted(): void {}
  messageDelivered(): void {}
  messageAcked(): void {}
  deliveryDropped(): void {}
  deliveryLost(): void {}
  deliveryGivenUp(): void {}
  clientHasRoom(): void {}
}
