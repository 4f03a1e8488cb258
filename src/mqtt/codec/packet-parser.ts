// Reads what follows the fixed header, for every packet type (3.1 to 3.15).

import type { QoS } from "../message.ts";
import { readConnect } from "./connect.ts";
import type { PacketReader } from "./packet-reader.ts";
import type {
  AckPacket,
  AuthPacket,
  ConnackPacket,
  DisconnectPacket,
  Packet,
  PacketType,
  RequestedSubscription,
  SubackPacket,
  SubscribePacket,
  UnsubackPacket,
  UnsubscribePacket,
} from "./packets.ts";
import { readProperties } from "./properties.ts";
import { readPublish } from "./publish.ts";
import { isReasonCodeOf } from "./reason-codes.ts";

const SESSION_PRESENT = 0x01;
const NO_LOCAL = 0x04;
const RETAIN_AS_PUBLISHED = 0x08;
const RETAIN_HANDLING_SHIFT = 4;

/**
 * Reads the packet that the reader stands on; `flags` are the low four bits of the fixed header. All its bytes must be
 * used up. Throws `MqttDecodeError`.
 */
export function parsePacket(reader: PacketReader, type: PacketType, flags: number): Packet {
  if (type === "publish") return readPublish(reader, flags);
  const packet = parseOther(reader, type);
  reader.expectEnd();
  return packet;
}

function parseOther(reader: PacketReader, type: Exclude<PacketType, "publish">): Packet {
  switch (type) {
    case "connect":
      return readConnect(reader);
    case "connack":
      return readConnack(reader);
    case "puback":
    case "pubrec":
    case "pubrel":
    case "pubcomp":
      return readAck(reader, type);
    case "subscribe":
      return readSubscribe(reader);
    case "suback":
      return readSuback(reader);
    case "unsubscribe":
      return readUnsubscribe(reader);
    case "unsuback":
      return readUnsuback(reader);
    case "pingreq":
    case "pingresp":
      return { type };
    case "disconnect":
      return readDisconnect(reader);
    case "auth":
      return readAuth(reader);
  }
}

function readReasonCode(reader: PacketReader, type: PacketType): number {
  const reasonCode = reader.readByte();
  if (!isReasonCodeOf(type, reader.version, reasonCode)) {
    throw reader.protocolError(`0x${reasonCode.toString(16)} is none of its reason codes`);
  }
  return reasonCode;
}

function readConnack(reader: PacketReader): ConnackPacket {
  const flags = reader.readByte();
  if (reader.version !== 3 && (flags & ~SESSION_PRESENT) !== 0) {
    throw reader.malformed("a reserved acknowledge flag is set"); // [MQTT-3.2.2-1]
  }
  const reasonCode = readReasonCode(reader, "connack");
  const properties = reader.version === 5 ? readProperties(reader, "connack") : undefined;
  return { type: "connack", sessionPresent: (flags & SESSION_PRESENT) !== 0, reasonCode, properties };
}

type AckType = "puback" | "pubrec" | "pubrel" | "pubcomp";

/** Reason Code and Property Length may be left out (3.4.2.1, 3.4.2.2.1 and alike). */
function readAck<Type extends AckType>(reader: PacketReader, type: Type): AckPacket<Type> {
  const packetId = reader.readPacketId();
  const isLong = reader.version === 5 && reader.remaining > 0;
  const reasonCode = isLong ? readReasonCode(reader, type) : 0;
  const properties = isLong && reader.remaining > 0 ? readProperties(reader, type) : undefined;
  return { type, packetId, reasonCode, properties };
}

function readSubscribe(reader: PacketReader): SubscribePacket {
  const packetId = reader.readPacketId();
  const properties = reader.version === 5 ? readProperties(reader, "subscribe") : undefined;
  const subscriptions: RequestedSubscription[] = [];
  do {
    if (reader.remaining === 0) throw reader.protocolError("it names no topic filter"); // [MQTT-3.8.3-2]
    const topicFilter = reader.readText();
    subscriptions.push(readOptions(reader, topicFilter));
  } while (reader.remaining > 0);
  return { type: "subscribe", packetId, subscriptions, properties };
}

/** 3.8.3.1 */
function readOptions(reader: PacketReader, topicFilter: string): RequestedSubscription {
  const options = reader.readByte();
  const known = reader.version === 5 ? 0x3f : 0x03;
  if (reader.version !== 3 && (options & ~known) !== 0) {
    throw reader.malformed("a reserved subscription option is set"); // [MQTT-3.8.3-5]
  }
  const qos = options & 0x3;
  if (qos === 3) throw reader.protocolError("a maximum QoS is 3");
  if (reader.version !== 5) {
    return { topicFilter, qos: qos as QoS, noLocal: false, retainAsPublished: false, retainHandling: 0 };
  }
  const noLocal = (options & NO_LOCAL) !== 0;
  if (noLocal && topicFilter.startsWith("$share/")) {
    throw reader.protocolError("No Local is set on a shared subscription"); // [MQTT-3.8.3-4]
  }
  const retainHandling = options >> RETAIN_HANDLING_SHIFT;
  if (retainHandling === 3) throw reader.protocolError("a retain handling is 3");
  return {
    topicFilter,
    qos: qos as QoS,
    noLocal,
    retainAsPublished: (options & RETAIN_AS_PUBLISHED) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  };
}

function readSuback(reader: PacketReader): SubackPacket {
  const packetId = reader.readPacketId();
  const properties = reader.version === 5 ? readProperties(reader, "suback") : undefined;
  return { type: "suback", packetId, reasonCodes: readReasonCodes(reader, "suback"), properties };
}

function readUnsuback(reader: PacketReader): UnsubackPacket {
  const packetId = reader.readPacketId();
  if (reader.version !== 5) return { type: "unsuback", packetId, reasonCodes: [], properties: undefined };
  const properties = readProperties(reader, "unsuback");
  return { type: "unsuback", packetId, reasonCodes: readReasonCodes(reader, "unsuback"), properties };
}

function readReasonCodes(reader: PacketReader, type: PacketType): number[] {
  const reasonCodes: number[] = [];
  do {
    reasonCodes.push(readReasonCode(reader, type));
  } while (reader.remaining > 0);
  return reasonCodes;
}

function readUnsubscribe(reader: PacketReader): UnsubscribePacket {
  const packetId = reader.readPacketId();
  const properties = reader.version === 5 ? readProperties(reader, "unsubscribe") : undefined;
  const topicFilters: string[] = [];
  do {
    if (reader.remaining === 0) throw reader.protocolError("it names no topic filter"); // [MQTT-3.10.3-2]
    topicFilters.push(reader.readText());
  } while (reader.remaining > 0);
  return { type: "unsubscribe", packetId, topicFilters, properties };
}

/** Reason Code and Property Length may be left out (3.14.2.1, 3.14.2.2.1). */
function readDisconnect(reader: PacketReader): DisconnectPacket {
  const isLong = reader.version === 5 && reader.remaining > 0;
  const reasonCode = isLong ? readReasonCode(reader, "disconnect") : 0;
  const properties = isLong && reader.remaining > 0 ? readProperties(reader, "disconnect") : undefined;
  return { type: "disconnect", reasonCode, properties };
}

/** Reason Code and Property Length may both be left out (3.15.2.1). */
function readAuth(reader: PacketReader): AuthPacket {
  if (reader.version !== 5) throw reader.malformed("it does not exist before MQTT 5");
  if (reader.remaining === 0) return { type: "auth", reasonCode: 0, properties: undefined };
  const reasonCode = readReasonCode(reader, "auth");
  const properties = readProperties(reader, "auth");
  if (reasonCode !== 0 && properties?.authenticationMethod === undefined) {
    throw reader.protocolError("it has no authentication method");
  }
  return { type: "auth", reasonCode, properties };
}
