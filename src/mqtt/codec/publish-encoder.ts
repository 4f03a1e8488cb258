// Turns a PUBLISH (3.3) into bytes, with or without its payload.

import { PacketWriter, textLength, variableByteIntegerLength } from "./packet-writer.ts";
import type { ProtocolVersion, PublishPacket } from "./packets.ts";
import { propertiesLength, writeProperties } from "./properties.ts";

const TYPE = 0x30;
const RETAIN = 0x01;
const DUP = 0x08;

/** What goes before the payload, without the fixed header; `propertyLength` is that of its properties. */
function variableHeaderLength(packet: PublishPacket, version: ProtocolVersion, propertyLength: number): number {
  const properties = version === 5 ? variableByteIntegerLength(propertyLength) + propertyLength : 0;
  return textLength(packet.topic) + (packet.qos > 0 ? 2 : 0) + properties;
}

function propertyLengthOf(packet: PublishPacket, version: ProtocolVersion): number {
  return version === 5 ? propertiesLength("publish", packet.properties) : 0;
}

/** The size of the whole packet in bytes, to be held against a Maximum Packet Size. Throws `MqttEncodeError`. */
export function encodedPublishLength(packet: PublishPacket, version: ProtocolVersion): number {
  const propertyLength = propertyLengthOf(packet, version);
  const remainingLength = variableHeaderLength(packet, version, propertyLength) + packet.payload.length;
  return 1 + variableByteIntegerLength(remainingLength) + remainingLength;
}

/** All of the packet but its payload, which must be written right after. Throws `MqttEncodeError`. */
export function encodePublishHeader(packet: PublishPacket, version: ProtocolVersion): Buffer {
  return encode(packet, version, 0).buffer;
}

/** The whole packet; its payload is copied. Throws `MqttEncodeError`. */
export function encodePublish(packet: PublishPacket, version: ProtocolVersion): Buffer {
  const writer = encode(packet, version, packet.payload.length);
  writer.writeBytes(packet.payload);
  return writer.buffer;
}

/** Writes the header into a buffer with this much room for the payload behind it. */
function encode(packet: PublishPacket, version: ProtocolVersion, payloadRoom: number): PacketWriter {
  const propertyLength = propertyLengthOf(packet, version);
  const headerLength = variableHeaderLength(packet, version, propertyLength);
  const remainingLength = headerLength + packet.payload.length;
  const size = 1 + variableByteIntegerLength(remainingLength) + headerLength + payloadRoom;
  const writer = new PacketWriter(Buffer.allocUnsafe(size));
  writer.writeByte(TYPE | (packet.dup ? DUP : 0) | (packet.qos << 1) | (packet.retain ? RETAIN : 0));
  writer.writeVariableByteInteger(remainingLength);
  writer.writeText(packet.topic);
  if (packet.qos > 0) writer.writeUint16(packet.packetId as number);
  if (version === 5) writeProperties(writer, "publish", packet.properties, propertyLength);
  return writer;
}
