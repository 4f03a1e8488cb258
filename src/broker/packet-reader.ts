// Cuts a connection's bytes into packets and hands these over, one at a time, as long as more may be read.

import { PacketDecoder } from "../mqtt/codec/decoder.ts";
import type { Packet } from "../mqtt/codec/packets.ts";

export interface PacketReceiver {
  /** Whether the next packet may be handed over now. */
  readonly mayRead: boolean;
  handle(packet: Packet): void;
  /** A packet could not be read (`MqttDecodeError`), or not be handled. */
  readingFailed(error: unknown): void;
}

export class PacketReader {
  readonly #receiver: PacketReceiver;
  readonly #decoder: PacketDecoder;
  #isReading = false;

  /** `maxPacketSize` in bytes. */
  constructor(receiver: PacketReceiver, maxPacketSize: number) {
    this.#receiver = receiver;
    this.#decoder = new PacketDecoder({ maxPacketSize });
  }

  push(chunk: Buffer): void {
    this.#decoder.push(chunk);
    this.read();
  }

  /** Goes on after the receiver could not take more. */
  read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (this.#receiver.mayRead) {
        const packet = this.#decoder.next();
        if (packet === undefined) break;
        this.#receiver.handle(packet);
      }
    } catch (error) {
      this.#receiver.readingFailed(error);
    } finally {
      this.#isReading = false;
    }
  }
}
