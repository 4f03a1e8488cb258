// The properties of MQTT 5 (2.2.2.2): their identifiers, types and packets, and how they are read and written.

import type { UserProperty } from "../message.ts";
import { ReasonCode } from "../reason-code.ts";
import { validateTopicName } from "../topic.ts";
import type { DecodeReasonCode } from "./errors.ts";
import type { PacketReader } from "./packet-reader.ts";
import { LengthCounter, type PacketSink } from "./packet-writer.ts";
import type {
  AckProperties,
  AuthProperties,
  ConnackProperties,
  ConnectProperties,
  DisconnectProperties,
  PacketType,
  PublishProperties,
  SubscribeProperties,
  UnsubscribeProperties,
  WillProperties,
} from "./packets.ts";

/** Where properties stand: in a packet, or before the will in a CONNECT. */
export type PropertyOwner = PacketType | "will";

/** What each owner's properties are read as. */
export interface PropertiesOf {
  connect: ConnectProperties;
  will: WillProperties;
  connack: ConnackProperties;
  publish: PublishProperties;
  puback: AckProperties;
  pubrec: AckProperties;
  pubrel: AckProperties;
  pubcomp: AckProperties;
  subscribe: SubscribeProperties;
  suback: AckProperties;
  unsubscribe: UnsubscribeProperties;
  unsuback: AckProperties;
  disconnect: DisconnectProperties;
  auth: AuthProperties;
}

export type AnyProperties = PropertiesOf[keyof PropertiesOf];

/** `bit` is a byte of 0 or 1 kept as a number, `flag` one kept as a boolean. */
type PropertyKind =
  | "bit"
  | "flag"
  | "uint16"
  | "uint32"
  | "variable"
  | "text"
  | "topic"
  | "binary"
  | "pairs"
  | "variables";

interface Property {
  readonly id: number;
  readonly name: string;
  readonly kind: PropertyKind;
  readonly owners: ReadonlySet<PropertyOwner>;
  /** 0 is refused with this Reason Code. */
  readonly zero?: DecodeReasonCode;
}

const { ProtocolError, TopicAliasInvalid } = ReasonCode;

const WITH_REASON_STRING: PropertyOwner[] = [
  "connack",
  "puback",
  "pubrec",
  "pubrel",
  "pubcomp",
  "suback",
  "unsuback",
  "disconnect",
  "auth",
];
const WITH_USER_PROPERTIES: PropertyOwner[] = [
  ...WITH_REASON_STRING,
  "connect",
  "will",
  "publish",
  "subscribe",
  "unsubscribe",
];

const PROPERTIES: readonly Property[] = [
  property(0x01, "payloadFormatIndicator", "bit", ["publish", "will"]),
  property(0x02, "messageExpiryInterval", "uint32", ["publish", "will"]),
  property(0x03, "contentType", "text", ["publish", "will"]),
  property(0x08, "responseTopic", "topic", ["publish", "will"]),
  property(0x09, "correlationData", "binary", ["publish", "will"]),
  property(0x0b, "subscriptionIdentifier", "variable", ["subscribe"], ProtocolError),
  property(0x0b, "subscriptionIdentifiers", "variables", ["publish"], ProtocolError),
  property(0x11, "sessionExpiryInterval", "uint32", ["connect", "connack", "disconnect"]),
  property(0x12, "assignedClientIdentifier", "text", ["connack"]),
  property(0x13, "serverKeepAlive", "uint16", ["connack"]),
  property(0x15, "authenticationMethod", "text", ["connect", "connack", "auth"]),
  property(0x16, "authenticationData", "binary", ["connect", "connack", "auth"]),
  property(0x17, "requestProblemInformation", "flag", ["connect"]),
  property(0x18, "willDelayInterval", "uint32", ["will"]),
  property(0x19, "requestResponseInformation", "flag", ["connect"]),
  property(0x1a, "responseInformation", "text", ["connack"]),
  property(0x1c, "serverReference", "text", ["connack", "disconnect"]),
  property(0x1f, "reasonString", "text", WITH_REASON_STRING),
  property(0x21, "receiveMaximum", "uint16", ["connect", "connack"], ProtocolError),
  property(0x22, "topicAliasMaximum", "uint16", ["connect", "connack"]),
  property(0x23, "topicAlias", "uint16", ["publish"], TopicAliasInvalid),
  property(0x24, "maximumQoS", "bit", ["connack"]),
  property(0x25, "retainAvailable", "flag", ["connack"]),
  property(0x26, "userProperties", "pairs", WITH_USER_PROPERTIES),
  property(0x27, "maximumPacketSize", "uint32", ["connect", "connack"], ProtocolError),
  property(0x28, "wildcardSubscriptionAvailable", "flag", ["connack"]),
  property(0x29, "subscriptionIdentifiersAvailable", "flag", ["connack"]),
  property(0x2a, "sharedSubscriptionAvailable", "flag", ["connack"]),
];

function property(
  id: number,
  name: string,
  kind: PropertyKind,
  owners: readonly PropertyOwner[],
  zero?: DecodeReasonCode,
): Property {
  return { id, name, kind, owners: new Set(owners), zero };
}

interface OwnerProperties {
  /** In the order in which they are written. */
  readonly all: readonly Property[];
  readonly byId: ReadonlyMap<number, Property>;
}

/** Every owner may have user properties, so that list names them all. */
const OWNERS = new Map<PropertyOwner, OwnerProperties>(
  WITH_USER_PROPERTIES.map((owner) => {
    const all = PROPERTIES.filter((one) => one.owners.has(owner));
    return [owner, { all, byId: new Map(all.map((one) => [one.id, one])) }];
  }),
);

function propertiesOf(owner: PropertyOwner): OwnerProperties {
  return OWNERS.get(owner) as OwnerProperties;
}

/** Reads Property Length and properties; undefined when there are none. Throws `MqttDecodeError`. */
export function readProperties<Owner extends keyof PropertiesOf>(
  reader: PacketReader,
  owner: Owner,
): PropertiesOf[Owner] | undefined {
  const length = reader.readVariableByteInteger();
  if (length === 0) return undefined;
  const packetEnd = reader.narrow(length);
  const known = propertiesOf(owner).byId;
  const values: Record<string, unknown> = {};
  while (reader.remaining > 0) {
    const id = reader.readVariableByteInteger();
    const found = known.get(id);
    if (found === undefined) throw reader.malformed(`property 0x${id.toString(16)} does not belong in it`);
    readProperty(reader, found, values);
  }
  reader.widen(packetEnd);
  return values as PropertiesOf[Owner];
}

function readProperty(reader: PacketReader, found: Property, values: Record<string, unknown>): void {
  const before = values[found.name];
  if (found.kind === "pairs") {
    const pair: UserProperty = [reader.readText(), reader.readText()];
    if (before === undefined) values[found.name] = [pair];
    else (before as UserProperty[]).push(pair);
    return;
  }
  if (found.kind === "variables") {
    const value = refuseZero(reader, found, reader.readVariableByteInteger());
    if (before === undefined) values[found.name] = [value];
    else (before as number[]).push(value);
    return;
  }
  if (before !== undefined) throw reader.protocolError(`${found.name} is there twice`);
  values[found.name] = readSingleValue(reader, found);
}

function readSingleValue(reader: PacketReader, found: Property): unknown {
  switch (found.kind) {
    case "bit":
      return readBit(reader, found);
    case "flag":
      return readBit(reader, found) === 1;
    case "uint16":
      return refuseZero(reader, found, reader.readUint16());
    case "uint32":
      return refuseZero(reader, found, reader.readUint32());
    case "variable":
      return refuseZero(reader, found, reader.readVariableByteInteger());
    case "topic": {
      const topic = reader.readText();
      const problem = validateTopicName(topic);
      if (problem !== undefined) throw reader.protocolError(`${found.name}: ${problem.message}`);
      return topic;
    }
    case "binary":
      return reader.readBinary();
    default:
      return reader.readText();
  }
}

function readBit(reader: PacketReader, found: Property): number {
  const value = reader.readByte();
  if (value > 1) throw reader.protocolError(`${found.name} is ${value} instead of 0 or 1`);
  return value;
}

function refuseZero(reader: PacketReader, found: Property, value: number): number {
  if (value === 0 && found.zero !== undefined) throw reader.error(found.zero, `${found.name} is 0`);
  return value;
}

/** The Property Length: how many bytes the properties take without it. Throws `MqttEncodeError`. */
export function propertiesLength(owner: PropertyOwner, properties: AnyProperties | undefined): number {
  if (properties === undefined) return 0;
  const counter = new LengthCounter();
  writeEach(counter, owner, properties);
  return counter.length;
}

/** Writes Property Length (as `propertiesLength` gave it) and properties. */
export function writeProperties(
  sink: PacketSink,
  owner: PropertyOwner,
  properties: AnyProperties | undefined,
  length: number,
): void {
  sink.writeVariableByteInteger(length);
  if (properties !== undefined && length > 0) writeEach(sink, owner, properties);
}

function writeEach(sink: PacketSink, owner: PropertyOwner, properties: AnyProperties): void {
  for (const { id, name, kind } of propertiesOf(owner).all) {
    const value = (properties as Record<string, unknown>)[name];
    if (value !== undefined) writeProperty(sink, id, kind, value);
  }
}

function writeProperty(sink: PacketSink, id: number, kind: PropertyKind, value: unknown): void {
  if (kind === "pairs") {
    for (const [name, text] of value as UserProperty[]) {
      sink.writeByte(id);
      sink.writeText(name);
      sink.writeText(text);
    }
    return;
  }
  if (kind === "variables") {
    for (const one of value as number[]) {
      sink.writeByte(id);
      sink.writeVariableByteInteger(one);
    }
    return;
  }
  sink.writeByte(id);
  switch (kind) {
    case "bit":
    case "flag":
      sink.writeByte(Number(value));
      break;
    case "uint16":
      sink.writeUint16(value as number);
      break;
    case "uint32":
      sink.writeUint32(value as number);
      break;
    case "variable":
      sink.writeVariableByteInteger(value as number);
      break;
    case "binary":
      sink.writeBinary(value as Uint8Array);
      break;
    default:
      sink.writeText(value as string);
  }
}
