// Turns deliveries into PUBLISH packets for one client, as its version and its limits want them.

import type { PublishPacket } from "../mqtt/codec/packets.ts";
import { encodedPublishLength, encodePublish, encodePublishHeader } from "../mqtt/codec/publish-encoder.ts";
import type { ClientLimits } from "./client-limits.ts";
import type { Delivery } from "./delivery.ts";
import { publishProperties } from "./message-properties.ts";
import type { OutputGate } from "./output-gate.ts";
import { OutboundAliases } from "./topic-aliases.ts";

/**
 * Payloads of at least this many bytes are not copied behind their header. Smaller ones are: a few bytes that wait for a
 * slow socket would keep the whole read buffer that they are a view of.
 */
const SEPARATE_PAYLOAD = 16 * 1024;

export class PublishSender {
  readonly #limits: ClientLimits;
  readonly #output: OutputGate;
  readonly #aliases: OutboundAliases;

  constructor(limits: ClientLimits, output: OutputGate) {
    this.#limits = limits;
    this.#output = output;
    this.#aliases = new OutboundAliases(limits.topicAliasMaximum, limits.topicAliasBytes);
  }

  /** Whether the packet is within the client's Maximum Packet Size [MQTT-3.1.2-24]. */
  fits(delivery: Delivery, now: () => number): boolean {
    const { maximumPacketSize, version } = this.#limits;
    if (maximumPacketSize === undefined) return true;
    const packet = this.#packetOf(delivery, 1, false, delivery.message.topic, undefined, now);
    return encodedPublishLength(packet, version) <= maximumPacketSize;
  }

  send(delivery: Delivery, packetId: number, dup: boolean, now: () => number): void {
    const { topicAliasMaximum, version } = this.#limits;
    const packet =
      (topicAliasMaximum > 0 ? this.#packetWithAlias(delivery, packetId, dup, now) : undefined) ??
      this.#packetOf(delivery, packetId, dup, delivery.message.topic, undefined, now);
    if (packet.payload.length < SEPARATE_PAYLOAD) this.#output.push(encodePublish(packet, version));
    else this.#output.push(encodePublishHeader(packet, version), packet.payload);
  }

  /** Undefined: there is no Topic Alias left, or with it the packet would exceed the client's Maximum Packet Size. */
  #packetWithAlias(delivery: Delivery, packetId: number, dup: boolean, now: () => number): PublishPacket | undefined {
    const { maximumPacketSize, version } = this.#limits;
    const { topic } = delivery.message;
    const known = this.#aliases.get(topic);
    const sentTopic = known === undefined ? topic : "";
    if (maximumPacketSize !== undefined) {
      // All aliases take as many bytes.
      const packet = this.#packetOf(delivery, packetId, dup, sentTopic, known ?? 1, now);
      if (encodedPublishLength(packet, version) > maximumPacketSize) return undefined;
    }
    const alias = known ?? this.#aliases.add(topic);
    return alias === undefined ? undefined : this.#packetOf(delivery, packetId, dup, sentTopic, alias, now);
  }

  #packetOf(
    delivery: Delivery,
    packetId: number,
    dup: boolean,
    topic: string,
    alias: number | undefined,
    now: () => number,
  ): PublishPacket {
    const { message, qos, retain } = delivery;
    return {
      type: "publish",
      topic,
      qos,
      retain,
      dup,
      packetId: qos > 0 ? packetId : undefined,
      payload: message.payload,
      properties: this.#limits.version === 5 ? publishProperties(delivery, alias, now) : undefined,
    };
  }
}
