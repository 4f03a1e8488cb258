// Turns packets into bytes. Packets are taken to be valid; only what MQTT's lengths cannot tell is refused.
//
// Each packet type has one function, which writes what follows the fixed header; it runs twice, first on a counter that
// finds the length and then on the buffer. PUBLISH and plain acknowledgements, which a broker sends most, go shorter ways.

import { LengthCounter, type PacketSink, PacketWriter, variableByteIntegerLength } from "./packet-writer.ts";
import {
  type AckPacket,
  type ConnectPacket,
  PACKET_TYPES,
  type Packet,
  type PacketType,
  type ProtocolVersion,
  type RequestedSubscription,
} from "./packets.ts";
import { type AnyProperties, type PropertyOwner, propertiesLength, writeProperties } from "./properties.ts";
import { encodePublish } from "./publish-encoder.ts";
import { connackReturnCode, subackReturnCode } from "./reason-codes.ts";

type AckType = "puback" | "pubrec" | "pubrel" | "pubcomp";

/** Low four bits of the fixed header (2.1.3). */
const FLAGS: Partial<Record<PacketType, number>> = { pubrel: 2, subscribe: 2, unsubscribe: 2 };

const FIRST_BYTES = new Map<PacketType, number>(
  PACKET_TYPES.flatMap((type, number) =>
    type === undefined ? [] : [[type, (number << 4) | (FLAGS[type] ?? 0)] as const],
  ),
);

/**
 * The bytes of any packet. Before MQTT 5, what those versions have no room for is left out, and Reason Codes of CONNACK
 * and SUBACK become the return codes that say the same. Throws `MqttEncodeError`.
 */
export function encodePacket(packet: Packet, version: ProtocolVersion): Buffer {
  switch (packet.type) {
    case "publish":
      return encodePublish(packet, version);
    case "puback":
    case "pubrec":
    case "pubrel":
    case "pubcomp":
      return isPlain(packet, version) ? encodeAck(packet.type, packet.packetId) : encodeBody(packet, version);
    default:
      return encodeBody(packet, version);
  }
}

/** A PUBACK, PUBREC, PUBREL or PUBCOMP that says success and has no properties: the same in all versions. */
export function encodeAck(type: AckType, packetId: number): Buffer {
  const buffer = Buffer.allocUnsafe(4);
  buffer[0] = FIRST_BYTES.get(type) as number;
  buffer[1] = 2;
  buffer[2] = packetId >> 8;
  buffer[3] = packetId;
  return buffer;
}

function isPlain(packet: AckPacket<AckType>, version: ProtocolVersion): boolean {
  return version !== 5 || (packet.reasonCode === 0 && packet.properties === undefined);
}

type OtherPacket = Exclude<Packet, { type: "publish" }>;

function encodeBody(packet: OtherPacket, version: ProtocolVersion): Buffer {
  const counter = new LengthCounter();
  writeBody(counter, packet, version);
  const length = counter.length;
  const writer = new PacketWriter(Buffer.allocUnsafe(1 + variableByteIntegerLength(length) + length));
  writer.writeByte(FIRST_BYTES.get(packet.type) as number);
  writer.writeVariableByteInteger(length);
  writeBody(writer, packet, version);
  return writer.buffer;
}

function writeBody(sink: PacketSink, packet: OtherPacket, version: ProtocolVersion): void {
  switch (packet.type) {
    case "connect":
      writeConnect(sink, packet);
      break;
    case "connack":
      sink.writeByte(packet.sessionPresent ? 1 : 0);
      sink.writeByte(version === 5 ? packet.reasonCode : connackReturnCode(packet.reasonCode));
      if (version === 5) writeAll(sink, "connack", packet.properties);
      break;
    case "puback":
    case "pubrec":
    case "pubrel":
    case "pubcomp":
      sink.writeUint16(packet.packetId);
      writeReason(sink, packet.type, packet.reasonCode, packet.properties);
      break;
    case "subscribe":
      sink.writeUint16(packet.packetId);
      if (version === 5) writeAll(sink, "subscribe", packet.properties);
      for (const subscription of packet.subscriptions) writeSubscription(sink, subscription, version);
      break;
    case "suback":
      sink.writeUint16(packet.packetId);
      if (version === 5) writeAll(sink, "suback", packet.properties);
      for (const code of packet.reasonCodes) sink.writeByte(version === 5 ? code : subackReturnCode(code));
      break;
    case "unsubscribe":
      sink.writeUint16(packet.packetId);
      if (version === 5) writeAll(sink, "unsubscribe", packet.properties);
      for (const topicFilter of packet.topicFilters) sink.writeText(topicFilter);
      break;
    case "unsuback":
      sink.writeUint16(packet.packetId);
      if (version !== 5) break;
      writeAll(sink, "unsuback", packet.properties);
      for (const code of packet.reasonCodes) sink.writeByte(code);
      break;
    case "disconnect":
    case "auth":
      if (version === 5) writeReason(sink, packet.type, packet.reasonCode, packet.properties);
      break;
    case "pingreq":
    case "pingresp":
      break;
  }
}

function writeConnect(sink: PacketSink, packet: ConnectPacket): void {
  const { version, will } = packet;
  sink.writeText(version === 3 ? "MQIsdp" : "MQTT");
  sink.writeByte(version);
  const willFlags = will === undefined ? 0 : 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0);
  const userFlags = (packet.password !== undefined ? 0x40 : 0) | (packet.userName !== undefined ? 0x80 : 0);
  sink.writeByte((packet.cleanStart ? 0x02 : 0) | willFlags | userFlags);
  sink.writeUint16(packet.keepAlive);
  if (version === 5) writeAll(sink, "connect", packet.properties);
  sink.writeText(packet.clientId);
  if (will !== undefined) {
    if (version === 5) writeAll(sink, "will", will.properties);
    sink.writeText(will.topic);
    sink.writeBinary(will.payload);
  }
  if (packet.userName !== undefined) sink.writeText(packet.userName);
  if (packet.password !== undefined) sink.writeBinary(packet.password);
}

function writeSubscription(sink: PacketSink, subscription: RequestedSubscription, version: ProtocolVersion): void {
  const { topicFilter, qos, noLocal, retainAsPublished, retainHandling } = subscription;
  sink.writeText(topicFilter);
  const more = version === 5 ? (noLocal ? 0x04 : 0) | (retainAsPublished ? 0x08 : 0) | (retainHandling << 4) : 0;
  sink.writeByte(qos | more);
}

function writeAll(sink: PacketSink, owner: PropertyOwner, properties: AnyProperties | undefined): void {
  writeProperties(sink, owner, properties, propertiesLength(owner, properties));
}

/** Reason Code and properties, left out as far as the standard allows (3.4.2, 3.14.2, 3.15.2). */
function writeReason(
  sink: PacketSink,
  type: AckType | "disconnect" | "auth",
  reasonCode: number,
  properties: AnyProperties | undefined,
): void {
  const length = propertiesLength(type, properties);
  if (reasonCode === 0 && length === 0) return;
  sink.writeByte(reasonCode);
  // AUTH has no form with a Reason Code alone.
  if (length > 0 || type === "auth") writeProperties(sink, type, properties, length);
}
