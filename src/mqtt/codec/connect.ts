// Reads a CONNECT (3.1), the packet that says which version all others are read by.

import type { QoS } from "../message.ts";
import { ReasonCode } from "../reason-code.ts";
import { validateTopicName } from "../topic.ts";
import type { PacketReader } from "./packet-reader.ts";
import type { ConnectPacket, ProtocolVersion, Will } from "./packets.ts";
import { readProperties } from "./properties.ts";

/** Protocol Name and Protocol Version of what is spoken here (3.1.2.1, 3.1.2.2). */
const PROTOCOLS = new Map<string, ProtocolVersion>([
  ["MQIsdp 3", 3],
  ["MQTT 4", 4],
  ["MQTT 5", 5],
]);

const RESERVED = 0x01;
const CLEAN_START = 0x02;
const WILL = 0x04;
const WILL_QOS_SHIFT = 3;
const WILL_RETAIN = 0x20;
const PASSWORD = 0x40;
const USER_NAME = 0x80;

/** Reads the packet after its fixed header and sets the reader's version. Throws `MqttDecodeError`. */
export function readConnect(reader: PacketReader): ConnectPacket {
  const version = readVersion(reader);
  reader.version = version;
  const flags = reader.readByte();
  checkFlags(reader, version, flags);
  const keepAlive = reader.readUint16();
  const properties = version === 5 ? readProperties(reader, "connect") : undefined;
  if (properties?.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw reader.protocolError("there is authentication data without an authentication method");
  }
  const clientId = reader.readText();
  const will = (flags & WILL) !== 0 ? readWill(reader, version, flags) : undefined;
  // MQTT 3.1 lets a client set these flags and leave the fields out at the end of the packet.
  const mayBeAbsent = version === 3;
  const isThere = (flag: number): boolean => (flags & flag) !== 0 && !(mayBeAbsent && reader.remaining === 0);
  const userName = isThere(USER_NAME) ? reader.readText() : undefined;
  const password = isThere(PASSWORD) ? reader.readBinary() : undefined;
  reader.expectEnd();
  return {
    type: "connect",
    version,
    cleanStart: (flags & CLEAN_START) !== 0,
    keepAlive,
    clientId,
    will,
    userName,
    password,
    properties,
  };
}

/** [MQTT-3.1.2-1, -2] */
function readVersion(reader: PacketReader): ProtocolVersion {
  const name = reader.readText();
  const level = reader.readByte();
  const version = PROTOCOLS.get(`${name} ${level}`);
  if (version !== undefined) return version;
  const given = `${JSON.stringify(name.slice(0, 20))} version ${level}`;
  const problem = `it asks for protocol ${given}; MQTT 3.1, 3.1.1 and 5.0 are understood`;
  throw reader.error(ReasonCode.UnsupportedProtocolVersion, problem, level);
}

function checkFlags(reader: PacketReader, version: ProtocolVersion, flags: number): void {
  if (version !== 3 && (flags & RESERVED) !== 0) {
    throw reader.malformed("a reserved connect flag is set"); // [MQTT-3.1.2-3]
  }
  const willQoS = willQoSOf(flags);
  if ((flags & WILL) === 0 && (willQoS !== 0 || (flags & WILL_RETAIN) !== 0)) {
    throw reader.malformed("will QoS or will retain is set without a will"); // [MQTT-3.1.2-11, -13]
  }
  if (willQoS === 3) throw reader.malformed("the will QoS is 3"); // [MQTT-3.1.2-12]
  if (version !== 5 && (flags & PASSWORD) !== 0 && (flags & USER_NAME) === 0) {
    throw reader.malformed("there is a password without a user name"); // MQTT 3.1.1, [MQTT-3.1.2-22]
  }
}

function willQoSOf(flags: number): number {
  return (flags >> WILL_QOS_SHIFT) & 0x3;
}

function readWill(reader: PacketReader, version: ProtocolVersion, flags: number): Will {
  const properties = version === 5 ? readProperties(reader, "will") : undefined;
  const topic = reader.readText();
  const problem = validateTopicName(topic);
  if (problem !== undefined) throw reader.error(ReasonCode.TopicNameInvalid, `will topic: ${problem.message}`);
  const payload = reader.readBinary();
  return { topic, payload, qos: willQoSOf(flags) as QoS, retain: (flags & WILL_RETAIN) !== 0, properties };
}
