// Encodes the packets that a connection sends besides PUBLISH, as the client's version and its wishes want them.

import { encodeAck, encodePacket } from "../mqtt/codec/encoder.ts";
import type {
  AckPacket,
  ConnackPacket,
  DisconnectPacket,
  Packet,
  ProtocolVersion,
  SubackPacket,
  UnsubackPacket,
} from "../mqtt/codec/packets.ts";
import { ReasonCode } from "../mqtt/reason-code.ts";
import type { ClientLimits } from "./client-limits.ts";
import type { OutputGate } from "./output-gate.ts";
import type { Traffic } from "./traffic.ts";

/** In characters; what is behind them is left out. */
const MAX_REASON_LENGTH = 500;

export type ReplyLimits = Pick<ClientLimits, "version" | "mayGiveReasons" | "maximumPacketSize">;

type AckType = "puback" | "pubrec" | "pubcomp";

/** What may say why in words (MQTT 5: Reason String). */
type PacketWithReason =
  | ConnackPacket
  | DisconnectPacket
  | SubackPacket
  | UnsubackPacket
  | AckPacket<AckType>
  | AckPacket<"pubrel">;

export class Replies {
  /** What CONNECT told; until then what suits every client. */
  limits: ReplyLimits = { version: 4, mayGiveReasons: true, maximumPacketSize: undefined };
  readonly #output: OutputGate;
  readonly #traffic: Traffic;

  constructor(output: OutputGate, traffic: Traffic) {
    this.#output = output;
    this.#traffic = traffic;
  }

  /** Returns false, and sends nothing, where the client does not take so long a packet [MQTT-3.1.2-24]. */
  send(packet: Packet, version: ProtocolVersion = this.limits.version): boolean {
    const bytes = encodePacket(packet, version);
    if (!this.#fits(bytes)) return false;
    this.#push(bytes);
    return true;
  }

  /** CONNACK; `version` may be that of a CONNECT which could not be read to its end. */
  refuseConnect(version: ProtocolVersion, reasonCode: ReasonCode, reasonString: string): void {
    this.#sendWithReason({ type: "connack", sessionPresent: false, reasonCode }, reasonString, version);
  }

  pubrel(packetId: number, isKnown: boolean): void {
    if (isKnown || this.limits.version < 5) {
      this.#push(encodeAck("pubrel", packetId));
      return;
    }
    const reasonString = `No message with Packet Identifier ${packetId} is in flight.`;
    this.acknowledge({ type: "pubrel", packetId, reasonCode: ReasonCode.PacketIdentifierNotFound }, reasonString);
  }

  ack(type: AckType, packetId: number, reasonCode: ReasonCode, reasonString?: string): void {
    if (this.limits.version < 5 || reasonCode === ReasonCode.Success) this.#push(encodeAck(type, packetId));
    else this.acknowledge({ type, packetId, reasonCode }, reasonString);
  }

  /** Says why only to a client that wants to know [MQTT-3.1.2-29]. Returns false as `send` does. */
  acknowledge(packet: PacketWithReason, reasonString: string | undefined): boolean {
    return this.#sendWithReason(packet, this.limits.mayGiveReasons ? reasonString : undefined);
  }

  /** MQTT 5 only: the versions before have no DISCONNECT of the server. */
  disconnect(reasonCode: ReasonCode, reasonString?: string): void {
    if (this.limits.version === 5) this.#sendWithReason({ type: "disconnect", reasonCode }, reasonString);
  }

  /** Gives the reason in words where the client takes so long a packet [MQTT-3.2.2-19, MQTT-3.4.2-2, MQTT-3.14.2-3 …]. */
  #sendWithReason(packet: PacketWithReason, reasonString: string | undefined, version = this.limits.version): boolean {
    if (reasonString !== undefined) {
      const properties = { reasonString: reasonString.slice(0, MAX_REASON_LENGTH) };
      if (this.send({ ...packet, properties }, version)) return true;
    }
    return this.send(packet, version);
  }

  #fits(bytes: Buffer): boolean {
    const { maximumPacketSize } = this.limits;
    return maximumPacketSize === undefined || bytes.length <= maximumPacketSize;
  }

  #push(bytes: Buffer): void {
    this.#traffic.packetSent();
    this.#output.push(bytes);
  }
}
