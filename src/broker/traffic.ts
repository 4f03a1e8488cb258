// Counts what goes over a connection, for itself and for the whole broker.

import type { QoS } from "../mqtt/message.ts";
import type { Metrics } from "./metrics.ts";

export class Traffic {
  bytesReceived = 0;
  packetsReceived = 0;
  /** PUBLISH packets of the client. */
  messagesReceived = 0;
  bytesSent = 0;
  packetsSent = 0;
  /** PUBLISH packets to the client; those sent again included. */
  messagesSent = 0;
  readonly #metrics: Metrics;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  received(bytes: number): void {
    this.bytesReceived += bytes;
    this.#metrics.bytesReceived += bytes;
  }

  packetReceived(): void {
    this.packetsReceived += 1;
    this.#metrics.packetsReceived += 1;
  }

  sent(bytes: number): void {
    this.bytesSent += bytes;
    this.#metrics.bytesSent += bytes;
  }

  packetSent(): void {
    this.packetsSent += 1;
    this.#metrics.packetsSent += 1;
  }

  /** A PUBLISH goes to the client. */
  publishSent(qos: QoS, payloadBytes: number): void {
    this.messagesSent += 1;
    this.packetsSent += 1;
    this.#metrics.publishSent(qos, payloadBytes);
  }
}
