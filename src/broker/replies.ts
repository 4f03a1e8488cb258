// Encodes the packets that a connection sends besides PUBLISH, as the client's version and its wishes want them.

import { encodeAck, encodePacket } from "../mqtt/codec/encoder.ts";
import type { Packet, ProtocolVersion } from "../mqtt/codec/packets.ts";
import { ReasonCode } from "../mqtt/reason-code.ts";
import type { Metrics } from "./metrics.ts";
import type { Outbound } from "./outbound.ts";

export interface ReplyLimits {
  readonly version: ProtocolVersion;
  /** Request Problem Information (MQTT 5, 3.1.2.11.7). */
  readonly mayGiveReasons: boolean;
  /** In bytes; undefined: none. */
  readonly maximumPacketSize: number | undefined;
}

type AckType = "puback" | "pubrec" | "pubcomp";

export class Replies {
  /** What CONNECT told; until then what suits every client. */
  limits: ReplyLimits = { version: 4, mayGiveReasons: true, maximumPacketSize: undefined };
  readonly #outbound: Outbound;
  readonly #metrics: Metrics;

  constructor(outbound: Outbound, metrics: Metrics) {
    this.#outbound = outbound;
    this.#metrics = metrics;
  }

  send(packet: Packet, version: ProtocolVersion = this.limits.version): void {
    this.#push(encodePacket(packet, version));
  }

  pubrel(packetId: number, isKnown: boolean): void {
    if (isKnown || this.limits.version < 5) this.#push(encodeAck("pubrel", packetId));
    else this.send({ type: "pubrel", packetId, reasonCode: ReasonCode.PacketIdentifierNotFound });
  }

  ack(type: AckType, packetId: number, reasonCode: ReasonCode, reasonString?: string): void {
    const { version, mayGiveReasons } = this.limits;
    if (version < 5 || reasonCode === ReasonCode.Success) this.#push(encodeAck(type, packetId));
    else this.#sendWithReason({ type, packetId, reasonCode }, mayGiveReasons ? reasonString : undefined);
  }

  /** MQTT 5 only: the versions before have no DISCONNECT of the server. */
  disconnect(reasonCode: ReasonCode, reasonString?: string): void {
    if (this.limits.version === 5) this.#sendWithReason({ type: "disconnect", reasonCode }, reasonString);
  }

  /** Gives the reason in words where the client takes so long a packet [MQTT-3.4.2-2, MQTT-3.14.2-3]. */
  #sendWithReason(
    packet:
      | { type: "disconnect"; reasonCode: ReasonCode }
      | { type: AckType; packetId: number; reasonCode: ReasonCode },
    reasonString: string | undefined,
  ): void {
    const { version, maximumPacketSize } = this.limits;
    if (reasonString !== undefined) {
      const bytes = encodePacket({ ...packet, properties: { reasonString } }, version);
      if (maximumPacketSize === undefined || bytes.length <= maximumPacketSize) {
        this.#push(bytes);
        return;
      }
    }
    this.send(packet);
  }

  #push(bytes: Buffer): void {
    this.#metrics.packetsSent += 1;
    this.#outbound.push(bytes);
  }
}
