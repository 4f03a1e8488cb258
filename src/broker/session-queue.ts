// What waits for a client in its session, first come first served, within limits of number and of bytes.
//
// Retained messages that were sent on subscribe have limits of their own: as many as the broker keeps. What a catch-up
// holds back is not in the queue, but counts as if it were.

import { Fifo } from "../mqtt/fifo.ts";
import { messageBytes } from "../mqtt/message-size.ts";
import { byId } from "./catch-up.ts";
import type { Delivery } from "./delivery.ts";
import type { Metrics } from "./metrics.ts";

export interface QueueLimits {
  readonly maxMqueueLen: number;
  readonly maxMqueueBytes: number;
  readonly maxRetainedMessages: number;
  readonly maxRetainedBytes: number;
}

/** When stored messages make room, at least this part of the limits becomes free: so it need not be done for each. */
const ROOM_PART = 1 / 8;

class Tally {
  count = 0;
  bytes = 0;

  add(count: number, bytes: number): void {
    this.count += count;
    this.bytes += bytes;
  }
}

export class SessionQueue {
  readonly #limits: QueueLimits;
  readonly #metrics: Pick<Metrics, "queued" | "queuedBytes">;
  readonly #waiting = new Fifo<Delivery>();
  readonly #retained = new Tally();
  readonly #others = new Tally();
  /** How many of the others a plugin holds durably. */
  #stored = 0;
  /** How many of the held deliveries are of each topic. */
  #heldTopics: Map<string, number> | undefined;

  /** `metrics` counts what waits in all queues. */
  constructor(limits: QueueLimits, metrics: Pick<Metrics, "queued" | "queuedBytes">) {
    this.#limits = limits;
    this.#metrics = metrics;
  }

  /** How many wait; those that are held back are not counted. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Whether there is no room for another. */
  isFull(delivery: Delivery): boolean {
    const { maxMqueueLen, maxMqueueBytes, maxRetainedMessages, maxRetainedBytes } = this.#limits;
    const bytes = messageBytes(delivery.message);
    if (!delivery.retained) {
      return this.#others.count >= maxMqueueLen || this.#others.bytes + bytes > maxMqueueBytes;
    }
    return this.#retained.count >= maxRetainedMessages || this.#retained.bytes + bytes > maxRetainedBytes;
  }

  push(delivery: Delivery): void {
    this.#count(delivery, 1);
    this.#waiting.push(delivery);
  }

  peek(): Delivery | undefined {
    return this.#waiting.peek();
  }

  shift(): Delivery | undefined {
    const delivery = this.#waiting.shift();
    if (delivery !== undefined) this.#count(delivery, -1);
    return delivery;
  }

  /** Takes out what `which` names. */
  take(which: (delivery: Delivery) => boolean): Delivery[] {
    const taken = this.#waiting.extract(which);
    for (const delivery of taken) this.#count(delivery, -1);
    return taken;
  }

  /** Puts these in, and all in publish order. */
  merge(deliveries: readonly Delivery[]): void {
    if (deliveries.length === 0) return;
    for (const delivery of deliveries) this.#count(delivery, 1);
    this.#waiting.replace([...this.#waiting, ...deliveries].sort(byId));
  }

  /**
   * Drops messages that a plugin holds durably, the latest first, until there is room for this one. Returns those
   * that were dropped.
   */
  makeRoomFor({ message }: Delivery): readonly Delivery[] {
    const { maxMqueueLen, maxMqueueBytes } = this.#limits;
    const needed = messageBytes(message);
    if (this.#stored === 0 || maxMqueueLen === 0 || needed > maxMqueueBytes) return [];
    let count = surplus(this.#others.count, 1, maxMqueueLen);
    let bytes = surplus(this.#others.bytes, needed, maxMqueueBytes);
    const dropped = new Set<Delivery>();
    for (const delivery of [...this.#waiting].reverse()) {
      if (count <= 0 && bytes <= 0) break;
      if (!delivery.stored || delivery.retained) continue;
      dropped.add(delivery);
      count -= 1;
      bytes -= messageBytes(delivery.message);
    }
    return dropped.size > 0 ? this.take((delivery) => dropped.has(delivery)) : [];
  }

  /** A delivery is held back for a catch-up. */
  hold(delivery: Delivery): void {
    const { topic } = delivery.message;
    this.#count(delivery, 1);
    this.#heldTopics ??= new Map();
    this.#heldTopics.set(topic, (this.#heldTopics.get(topic) ?? 0) + 1);
  }

  /** A delivery is held back no longer. */
  unhold(delivery: Delivery): void {
    const { topic } = delivery.message;
    this.#count(delivery, -1);
    const left = (this.#heldTopics?.get(topic) ?? 0) - 1;
    if (left > 0) this.#heldTopics?.set(topic, left);
    else this.#heldTopics?.delete(topic);
  }

  /** Whether anything of that topic is held back; without a topic: anything at all. */
  holds(topic?: string): boolean {
    if (this.#heldTopics === undefined) return false;
    return topic === undefined ? this.#heldTopics.size > 0 : this.#heldTopics.has(topic);
  }

  /** The session has ended. */
  clear(): void {
    this.take(() => true);
  }

  [Symbol.iterator](): Iterator<Delivery> {
    return this.#waiting[Symbol.iterator]();
  }

  #count(delivery: Delivery, by: 1 | -1): void {
    const bytes = by * messageBytes(delivery.message);
    (delivery.retained ? this.#retained : this.#others).add(by, bytes);
    this.#metrics.queued += by;
    this.#metrics.queuedBytes += bytes;
    if (delivery.stored && !delivery.retained) this.#stored += by;
  }
}

/** How much must go so that there is room for `needed` more, and for some time; 0: there is room. */
function surplus(used: number, needed: number, limit: number): number {
  return used + needed > limit ? used - Math.min(limit - needed, limit * (1 - ROOM_PART)) : 0;
}
