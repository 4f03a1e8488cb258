// Named packets, byte by byte, worked out by hand from the standards. Every protocol test may draw on them.

import type { Packet, ProtocolVersion } from "../../src/mqtt/codec/packets.ts";

export interface NamedPacket {
  readonly name: string;
  readonly version: ProtocolVersion;
  readonly sender: "client" | "server";
  /** Hexadecimal digits; spaces and `'text'` in ASCII for the eye. */
  readonly bytes: string;
  readonly packet: Packet;
  /** A form that is read but not written, because there is a shorter one. */
  readonly readOnly?: true;
}

/** The bytes of a table's entry: hexadecimal digits, spaces, and ASCII text in single quotes. */
export function bytesOf(text: string): Buffer {
  const hex = text.replaceAll(/'([^']*)'/g, (_, ascii: string) => Buffer.from(ascii, "latin1").toString("hex"));
  const digits = hex.replaceAll(" ", "");
  const bytes = Buffer.from(digits, "hex");
  if (bytes.length * 2 !== digits.length) throw new Error(`no hexadecimal bytes: ${text}`);
  return bytes;
}

const fromClient = (
  name: string,
  version: ProtocolVersion,
  bytes: string,
  packet: Packet,
  readOnly?: true,
): NamedPacket => ({ name, version, sender: "client", bytes, packet, readOnly });
const fromServer = (
  name: string,
  version: ProtocolVersion,
  bytes: string,
  packet: Packet,
  readOnly?: true,
): NamedPacket => ({ name, version, sender: "server", bytes, packet, readOnly });

const text = (value: string): Buffer => Buffer.from(value);
const V5_ONLY = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;

export const PACKETS: readonly NamedPacket[] = [
  fromClient("CONNECT 3.1", 3, "10 10 0006 'MQIsdp' 03 02 003C 0002 'c1'", {
    type: "connect",
    version: 3,
    cleanStart: true,
    keepAlive: 60,
    clientId: "c1",
  }),
  fromClient(
    "CONNECT 3.1 whose user name and password flags have no fields",
    3,
    "10 10 0006 'MQIsdp' 03 C2 003C 0002 'c1'",
    { type: "connect", version: 3, cleanStart: true, keepAlive: 60, clientId: "c1" },
    true,
  ),
  fromClient("CONNECT 3.1.1 with nothing", 4, "10 0C 0004 'MQTT' 04 00 0000 0000", {
    type: "connect",
    version: 4,
    cleanStart: false,
    keepAlive: 0,
    clientId: "",
  }),
  fromClient(
    "CONNECT 3.1.1 with all",
    4,
    "10 1D 0004 'MQTT' 04 F6 FFFF 0002 'c1' 0001 'w' 0002 FF00 0001 'u' 0003 'p' 00 'p'",
    {
      type: "connect",
      version: 4,
      cleanStart: true,
      keepAlive: 65_535,
      clientId: "c1",
      will: { topic: "w", payload: Buffer.from([0xff, 0]), qos: 2, retain: true },
      userName: "u",
      password: text("p\0p"),
    },
  ),
  fromClient("CONNECT 5.0 with nothing", 5, "10 0D 0004 'MQTT' 05 02 000A 00 0000", {
    type: "connect",
    version: 5,
    cleanStart: true,
    keepAlive: 10,
    clientId: "",
  }),
  fromClient("CONNECT 5.0 with a password and no user name", 5, "10 10 0004 'MQTT' 05 42 000A 00 0000 0001 'p'", {
    type: "connect",
    version: 5,
    cleanStart: true,
    keepAlive: 10,
    clientId: "",
    password: text("p"),
  }),
  fromClient(
    "CONNECT 5.0 with all",
    5,
    "10 77 0004 'MQTT' 05 EE 003C " +
      "32 11 FFFFFFFF 15 0001 'm' 16 0002 0001 17 00 19 01 21 000A 22 0005 " +
      "26 0001 'a' 0001 '1' 26 0001 'b' 0001 '2' 26 0001 'a' 0001 '3' 27 00010000 " +
      "0002 'c1' " +
      "26 01 01 02 0000003C 03 0004 'text' 08 0003 'r/t' 09 0002 0102 18 00000005 26 0001 'k' 0002 C3A9 " +
      "0003 'w/t' 0002 'hi' 0001 'u' 0001 'p'",
    {
      type: "connect",
      version: 5,
      cleanStart: true,
      keepAlive: 60,
      clientId: "c1",
      will: {
        topic: "w/t",
        payload: text("hi"),
        qos: 1,
        retain: true,
        properties: {
          payloadFormatIndicator: 1,
          messageExpiryInterval: 60,
          contentType: "text",
          responseTopic: "r/t",
          correlationData: Buffer.from([1, 2]),
          willDelayInterval: 5,
          userProperties: [["k", "é"]],
        },
      },
      userName: "u",
      password: text("p"),
      properties: {
        sessionExpiryInterval: 0xffffffff,
        authenticationMethod: "m",
        authenticationData: Buffer.from([0, 1]),
        requestProblemInformation: false,
        requestResponseInformation: true,
        receiveMaximum: 10,
        topicAliasMaximum: 5,
        userProperties: [
          ["a", "1"],
          ["b", "2"],
          ["a", "3"],
        ],
        maximumPacketSize: 65_536,
      },
    },
  ),

  fromServer("CONNACK 3.1.1", 4, "20 02 01 00", { type: "connack", sessionPresent: true, reasonCode: 0 }),
  fromServer("CONNACK 3.1.1, not authorized", 4, "20 02 00 05", {
    type: "connack",
    sessionPresent: false,
    reasonCode: 5,
  }),
  fromServer("CONNACK 5.0", 5, "20 03 00 00 00", { type: "connack", sessionPresent: false, reasonCode: 0 }),
  fromServer(
    "CONNACK 5.0 with all",
    5,
    "20 47 01 00 44 11 0000000A 12 0002 'id' 13 001E 15 0001 'm' 16 0001 FF 1A 0001 'i' 1C 0001 's' 1F 0001 'r' " +
      "21 0014 22 000A 24 01 25 00 26 0001 'a' 0001 'b' 26 0001 'a' 0001 'a' 27 00001000 28 01 29 00 2A 01",
    {
      type: "connack",
      sessionPresent: true,
      reasonCode: 0,
      properties: {
        sessionExpiryInterval: 10,
        assignedClientIdentifier: "id",
        serverKeepAlive: 30,
        authenticationMethod: "m",
        authenticationData: Buffer.from([0xff]),
        responseInformation: "i",
        serverReference: "s",
        reasonString: "r",
        receiveMaximum: 20,
        topicAliasMaximum: 10,
        maximumQoS: 1,
        retainAvailable: false,
        userProperties: [
          ["a", "b"],
          ["a", "a"],
        ],
        maximumPacketSize: 4096,
        wildcardSubscriptionAvailable: true,
        subscriptionIdentifiersAvailable: false,
        sharedSubscriptionAvailable: true,
      },
    },
  ),

  fromClient("PUBLISH 3.1.1, QoS 0", 4, "30 07 0003 't/1' 'hi'", {
    type: "publish",
    topic: "t/1",
    qos: 0,
    retain: false,
    dup: false,
    payload: text("hi"),
  }),
  fromClient("PUBLISH 3.1.1, QoS 1, DUP, RETAIN", 4, "3B 09 0003 't/1' 000A 'hi'", {
    type: "publish",
    topic: "t/1",
    qos: 1,
    retain: true,
    dup: true,
    packetId: 10,
    payload: text("hi"),
  }),
  fromClient("PUBLISH 3.1.1, QoS 2, empty", 4, "34 07 0003 't/1' FFFF", {
    type: "publish",
    topic: "t/1",
    qos: 2,
    retain: false,
    dup: false,
    packetId: 65_535,
    payload: text(""),
  }),
  fromClient("PUBLISH 5.0 with a topic alias and no topic", 5, "32 08 0000 0001 03 23 0007", {
    type: "publish",
    topic: "",
    qos: 1,
    retain: false,
    dup: false,
    packetId: 1,
    payload: text(""),
    properties: { topicAlias: 7 },
  }),
  fromClient("PUBLISH 5.0, topic beyond ASCII", 5, "30 0C 0009 C3A9 '/' E6BCA2 EFBBBF 00", {
    type: "publish",
    topic: "é/漢\ufeff",
    qos: 0,
    retain: false,
    dup: false,
    payload: text(""),
  }),
  fromServer(
    "PUBLISH 5.0 with all",
    5,
    "3D 39 0001 't' 0102 32 01 00 02 00000000 03 0000 08 0001 'r' 09 0000 " +
      "0B 01 0B 7F 0B 8001 0B FFFFFF7F 23 FFFF 26 0001 'b' 0000 26 0000 0001 'a' 26 0001 'b' 0000 '!'",
    {
      type: "publish",
      topic: "t",
      qos: 2,
      retain: true,
      dup: true,
      packetId: 258,
      payload: text("!"),
      properties: {
        payloadFormatIndicator: 0,
        messageExpiryInterval: 0,
        contentType: "",
        responseTopic: "r",
        correlationData: text(""),
        subscriptionIdentifiers: [1, 127, 128, 268_435_455],
        topicAlias: 65_535,
        userProperties: [
          ["b", ""],
          ["", "a"],
          ["b", ""],
        ],
      },
    },
  ),

  ...(["puback", "pubrec", "pubrel", "pubcomp"] as const).flatMap((type, index): NamedPacket[] => {
    const first = ["40", "50", "62", "70"][index] as string;
    const failure = type === "puback" || type === "pubrec" ? 0x97 : 0x92;
    const name = type.toUpperCase();
    const code = failure.toString(16);
    return [
      fromClient(`${name} 3.1.1`, 4, `${first} 02 1234`, { type, packetId: 0x1234, reasonCode: 0 }),
      fromServer(`${name} 5.0`, 5, `${first} 02 1234`, { type, packetId: 0x1234, reasonCode: 0 }),
      fromServer(
        `${name} 5.0, success said`,
        5,
        `${first} 03 1234 00`,
        { type, packetId: 0x1234, reasonCode: 0 },
        true,
      ),
      fromServer(
        `${name} 5.0, no properties said`,
        5,
        `${first} 04 1234 00 00`,
        { type, packetId: 4660, reasonCode: 0 },
        true,
      ),
      fromClient(`${name} 5.0 with a reason code`, 5, `${first} 03 0001 ${code}`, {
        type,
        packetId: 1,
        reasonCode: failure,
      }),
      fromClient(`${name} 5.0 with all`, 5, `${first} 10 0001 ${code} 0C 1F 0002 'no' 26 0001 'a' 0001 'b'`, {
        type,
        packetId: 1,
        reasonCode: failure,
        properties: { reasonString: "no", userProperties: [["a", "b"]] },
      }),
    ];
  }),
  fromClient("PUBREL 3.1 with DUP", 3, "6A 02 0001", { type: "pubrel", packetId: 1, reasonCode: 0 }, true),

  fromClient("SUBSCRIBE 3.1.1", 4, "82 0E 000A 0003 'a/b' 01 0003 'c/#' 02", {
    type: "subscribe",
    packetId: 10,
    subscriptions: [
      { topicFilter: "a/b", qos: 1, ...V5_ONLY },
      { topicFilter: "c/#", qos: 2, ...V5_ONLY },
    ],
  }),
  fromClient("SUBSCRIBE 5.0 with all", 5, "82 18 000A 0A 0B AF02 26 0001 'a' 0001 'b' 0003 'a/b' 2D 0002 '+/' 10", {
    type: "subscribe",
    packetId: 10,
    subscriptions: [
      { topicFilter: "a/b", qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 },
      { topicFilter: "+/", qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 1 },
    ],
    properties: { subscriptionIdentifier: 303, userProperties: [["a", "b"]] },
  }),
  fromServer("SUBACK 3.1.1", 4, "90 06 000A 00 01 02 80", {
    type: "suback",
    packetId: 10,
    reasonCodes: [0, 1, 2, 128],
  }),
  fromServer("SUBACK 5.0", 5, "90 09 000A 04 1F 0001 'r' 02 9E", {
    type: "suback",
    packetId: 10,
    reasonCodes: [2, 0x9e],
    properties: { reasonString: "r" },
  }),
  fromClient("UNSUBSCRIBE 3.1.1", 4, "A2 0A 0001 0003 'a/b' 0001 '#'", {
    type: "unsubscribe",
    packetId: 1,
    topicFilters: ["a/b", "#"],
  }),
  fromClient("UNSUBSCRIBE 5.0", 5, "A2 0D 0001 07 26 0001 'a' 0001 'b' 0001 '#'", {
    type: "unsubscribe",
    packetId: 1,
    topicFilters: ["#"],
    properties: { userProperties: [["a", "b"]] },
  }),
  fromServer("UNSUBACK 3.1.1", 4, "B0 02 0001", { type: "unsuback", packetId: 1, reasonCodes: [] }),
  fromServer("UNSUBACK 5.0", 5, "B0 05 0001 00 00 11", { type: "unsuback", packetId: 1, reasonCodes: [0, 0x11] }),

  fromClient("PINGREQ", 4, "C0 00", { type: "pingreq" }),
  fromServer("PINGRESP", 5, "D0 00", { type: "pingresp" }),
  fromClient("DISCONNECT 3.1.1", 4, "E0 00", { type: "disconnect", reasonCode: 0 }),
  fromClient("DISCONNECT 5.0", 5, "E0 00", { type: "disconnect", reasonCode: 0 }),
  fromClient("DISCONNECT 5.0 with will", 5, "E0 01 04", { type: "disconnect", reasonCode: 4 }),
  fromClient("DISCONNECT 5.0, no properties said", 5, "E0 02 04 00", { type: "disconnect", reasonCode: 4 }, true),
  fromServer("DISCONNECT 5.0 with all", 5, "E0 15 9D 13 11 00000001 1C 0001 's' 1F 0001 'r' 26 0001 'a' 0000", {
    type: "disconnect",
    reasonCode: 0x9d,
    properties: { sessionExpiryInterval: 1, serverReference: "s", reasonString: "r", userProperties: [["a", ""]] },
  }),
  fromClient("AUTH with nothing", 5, "F0 00", { type: "auth", reasonCode: 0 }),
  fromClient("AUTH", 5, "F0 0B 18 09 15 0001 'm' 16 0002 0102", {
    type: "auth",
    reasonCode: 0x18,
    properties: { authenticationMethod: "m", authenticationData: Buffer.from([1, 2]) },
  }),
];
