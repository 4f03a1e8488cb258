// One publishing client: keeps its window full, and checks that acknowledgements come in order.

import { type Address, Connection } from "./connection.ts";
import type { Latencies } from "./latencies.ts";
import { connectPacket, PUBACK, PublishRing } from "./packets.ts";

export interface PublisherOptions {
  readonly address: Address;
  readonly clientId: string;
  readonly topic: string;
  /** Its number, which goes into each payload. */
  readonly number: number;
  /** Messages under way at once. */
  readonly window: number;
  readonly payloadBytes: number;
  /** Messages to send; infinite: until `stop`. */
  readonly limit: number;
  /** A message is under way until its receiver confirms it too (`confirm`). */
  readonly awaitsReceiver: boolean;
  /** From sending to PUBACK, or to `confirm`. */
  readonly latencies: Latencies;
  /** Everything sent is acknowledged, and nothing more is to be sent. */
  readonly finished: () => void;
  readonly failed: (error: Error) => void;
}

export class Publisher {
  acknowledged = 0;
  readonly #options: PublisherOptions;
  readonly #ring: PublishRing;
  readonly #sentAt: Float64Array;
  readonly #connection: Connection;
  #sent = 0;
  #confirmed = 0;
  #limit: number;
  #isFinished = false;

  constructor(options: PublisherOptions) {
    const { address, clientId, topic, number: publisher, window, payloadBytes, failed } = options;
    this.#options = options;
    this.#limit = options.limit;
    this.#ring = new PublishRing({ topic, publisher, count: window, payloadBytes });
    this.#sentAt = new Float64Array(window);
    this.#connection = new Connection({
      address,
      clientId,
      connectPacket: connectPacket(clientId, true),
      failed,
      frame: (firstByte, buffer, start) => this.#frame(firstByte, buffer.readUInt16BE(start)),
      readDone: () => this.send(),
    });
  }

  async connect(): Promise<void> {
    await this.#connection.open();
  }

  /** Fills the window. */
  send(): void {
    const { window, finished, awaitsReceiver } = this.#options;
    const done = awaitsReceiver ? Math.min(this.acknowledged, this.#confirmed) : this.acknowledged;
    if (done === this.#limit) {
      if (!this.#isFinished) finished();
      this.#isFinished = true;
      return;
    }
    const { bytes, packetLength } = this.#ring;
    const end = Math.min(done + window, this.#limit);
    const now = performance.now();
    while (this.#sent < end) {
      // Packets that lie side by side in the ring go out as one piece.
      const first = this.#sent % window;
      const count = Math.min(end - this.#sent, window - first);
      for (let slot = first; slot < first + count; slot++) {
        this.#ring.setSequence(slot, this.#sent++);
        this.#sentAt[slot] = now;
      }
      this.#connection.write(bytes.subarray(first * packetLength, (first + count) * packetLength));
    }
  }

  /** The receiver has the next message. */
  confirm(now: number): void {
    this.#record(this.#confirmed++, now);
  }

  /** Messages sent that are not confirmed. */
  get unconfirmed(): number {
    return this.#sent - this.#confirmed;
  }

  /** Sends nothing more. */
  stop(): void {
    this.#limit = Math.min(this.#limit, this.#sent);
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  #frame(firstByte: number, packetId: number): void {
    const { clientId, window, awaitsReceiver } = this.#options;
    const expected = (this.acknowledged % window) + 1;
    if (firstByte !== PUBACK || packetId !== expected || this.acknowledged >= this.#sent) {
      throw new Error(`${clientId}: packet ${firstByte} with identifier ${packetId} instead of PUBACK ${expected}`);
    }
    if (!awaitsReceiver) this.#record(this.acknowledged, performance.now());
    this.acknowledged += 1;
  }

  #record(sequence: number, now: number): void {
    this.#options.latencies.record(now - (this.#sentAt[sequence % this.#options.window] as number));
  }
}
