// Random valid packets of every type, for tests that need many.

import type {
  ConnackPacket,
  ConnectPacket,
  Packet,
  PacketType,
  ProtocolVersion,
  PublishPacket,
  RequestedSubscription,
} from "../../src/mqtt/codec/packets.ts";
import type { QoS, UserProperty } from "../../src/mqtt/message.ts";
import type { Random } from "./seed.ts";

const ALPHABET = ["a", "B", "7", " ", "/", "é", "漢", "𝄞", "\ufeff", "\u0001", "\u{10ffff}"];

const ACK_CODES = { puback: [0, 0x10, 0x97], pubrec: [0, 0x80], pubrel: [0, 0x92], pubcomp: [0, 0x92] } as const;

export const FROM_CLIENT: readonly PacketType[] = [
  "publish",
  "puback",
  "pubrec",
  "pubrel",
  "pubcomp",
  "subscribe",
  "unsubscribe",
  "pingreq",
  "disconnect",
  "auth",
];
export const FROM_SERVER: readonly PacketType[] = [
  "connack",
  "publish",
  "puback",
  "pubrec",
  "pubrel",
  "pubcomp",
  "suback",
  "unsuback",
  "pingresp",
  "disconnect",
  "auth",
];

/** Makes random packets; a user property's names repeat often. */
export class RandomPackets {
  readonly #random: Random;
  readonly #version: ProtocolVersion;
  readonly #sender: "client" | "server";

  constructor(random: Random, version: ProtocolVersion, sender: "client" | "server") {
    this.#random = random;
    this.#version = version;
    this.#sender = sender;
  }

  /** Any packet that this sender sends in this version, CONNECT left out. */
  any(): Packet {
    const types = this.#sender === "client" ? FROM_CLIENT : FROM_SERVER;
    return this.packet(this.#random.pick(this.#version === 5 ? types : types.filter((type) => type !== "auth")));
  }

  packet(type: PacketType): Packet {
    const random = this.#random;
    const packetId = 1 + random.below(65_535);
    const listLength = 1 + random.below(4);
    switch (type) {
      case "connect":
        return this.connect();
      case "connack":
        return this.#connack();
      case "publish":
        return this.#publish();
      case "puback":
      case "pubrec":
      case "pubrel":
      case "pubcomp":
        return this.#version === 5
          ? { type, packetId, reasonCode: random.pick(ACK_CODES[type]), properties: this.#reasonProperties() }
          : { type, packetId, reasonCode: 0 };
      case "subscribe":
        return {
          type,
          packetId,
          subscriptions: Array.from({ length: listLength }, () => this.#subscription()),
          properties: this.#some({
            subscriptionIdentifier: () => 1 + random.below(268_435_455),
            userProperties: () => this.#userProperties(),
          }),
        };
      case "suback": {
        const codes = this.#version === 5 ? [0, 1, 2, 0x80, 0x8f, 0xa2] : [0, 1, 2, 0x80];
        const reasonCodes = Array.from({ length: listLength }, () => random.pick(codes));
        return { type, packetId, reasonCodes, properties: this.#reasonProperties() };
      }
      case "unsubscribe": {
        const topicFilters = Array.from({ length: listLength }, () => this.#topic());
        const userProperties = (): UserProperty[] => this.#userProperties();
        return { type, packetId, topicFilters, properties: this.#some({ userProperties }) };
      }
      case "unsuback": {
        if (this.#version !== 5) return { type, packetId, reasonCodes: [] };
        const reasonCodes = Array.from({ length: listLength }, () => random.pick([0, 0x11, 0x87]));
        return { type, packetId, reasonCodes, properties: this.#reasonProperties() };
      }
      case "pingreq":
      case "pingresp":
        return { type };
      case "disconnect":
        if (this.#version !== 5) return { type, reasonCode: 0 };
        return {
          type,
          reasonCode: random.pick([0, 4, 0x8e]),
          properties: this.#some({
            sessionExpiryInterval: () => this.#uint32(),
            serverReference: () => this.#text(),
            reasonString: () => this.#text(),
            userProperties: () => this.#userProperties(),
          }),
        };
      case "auth":
        return {
          type,
          reasonCode: random.pick([0x18, 0x19]),
          properties: {
            ...this.#reasonProperties(),
            authenticationMethod: this.#text(),
            authenticationData: random.bytes(random.below(20)),
          },
        };
    }
  }

  connect(): ConnectPacket {
    const random = this.#random;
    const userName = random.chance(0.5) ? this.#text() : undefined;
    const hasPassword = (userName !== undefined || this.#version === 5) && random.chance(0.5);
    return {
      type: "connect",
      version: this.#version,
      cleanStart: random.chance(0.5),
      keepAlive: random.below(65_536),
      clientId: `c${this.#text()}`,
      will: random.chance(0.5)
        ? {
            topic: this.#topic(),
            payload: random.bytes(1 + random.below(20)),
            qos: random.below(3) as QoS,
            retain: random.chance(0.5),
            properties: this.#some({
              ...this.#messageProperties(),
              willDelayInterval: () => this.#uint32(),
            }),
          }
        : undefined,
      userName,
      password: hasPassword ? random.bytes(1 + random.below(20)) : undefined,
      properties: this.#some({
        sessionExpiryInterval: () => this.#uint32(),
        receiveMaximum: () => 1 + random.below(65_535),
        maximumPacketSize: () => 1 + this.#uint32(),
        topicAliasMaximum: () => random.below(65_536),
        requestResponseInformation: () => random.chance(0.5),
        requestProblemInformation: () => random.chance(0.5),
        userProperties: () => this.#userProperties(),
        authenticationMethod: () => this.#text(),
      }),
    };
  }

  #connack(): ConnackPacket {
    const random = this.#random;
    const flag = (): boolean => random.chance(0.5);
    return {
      type: "connack",
      sessionPresent: flag(),
      reasonCode: random.pick(this.#version === 5 ? [0, 0x80, 0x87, 0x9f] : [0, 1, 5]),
      properties: this.#some({
        sessionExpiryInterval: () => this.#uint32(),
        receiveMaximum: () => 1 + random.below(65_535),
        maximumQoS: () => random.pick([0, 1] as const),
        retainAvailable: flag,
        maximumPacketSize: () => 1 + this.#uint32(),
        assignedClientIdentifier: () => this.#text(),
        topicAliasMaximum: () => random.below(65_536),
        reasonString: () => this.#text(),
        userProperties: () => this.#userProperties(),
        wildcardSubscriptionAvailable: flag,
        subscriptionIdentifiersAvailable: flag,
        sharedSubscriptionAvailable: flag,
        serverKeepAlive: () => random.below(65_536),
        responseInformation: () => this.#text(),
        serverReference: () => this.#text(),
        authenticationMethod: () => this.#text(),
        authenticationData: () => random.bytes(random.below(20)),
      }),
    };
  }

  #publish(): PublishPacket {
    const random = this.#random;
    const qos = random.below(3) as QoS;
    const identifiers = (): number[] =>
      Array.from({ length: 1 + random.below(3) }, () => 1 + random.below(random.pick([127, 20_000, 268_435_455])));
    return {
      type: "publish",
      topic: this.#topic(),
      qos,
      retain: random.chance(0.5),
      dup: qos > 0 && random.chance(0.5),
      packetId: qos > 0 ? 1 + random.below(65_535) : undefined,
      payload: random.bytes(random.below(random.pick([1, 20, 300]))),
      properties: this.#some({
        ...this.#messageProperties(),
        topicAlias: () => 1 + random.below(65_535),
        ...(this.#sender === "server" ? { subscriptionIdentifiers: identifiers } : {}),
      }),
    };
  }

  #messageProperties() {
    const random = this.#random;
    return {
      payloadFormatIndicator: (): 0 | 1 => random.pick([0, 1]),
      messageExpiryInterval: () => this.#uint32(),
      contentType: () => this.#text(),
      responseTopic: () => this.#topic(),
      correlationData: () => random.bytes(random.below(20)),
      userProperties: () => this.#userProperties(),
    };
  }

  #reasonProperties() {
    return this.#some({ reasonString: () => this.#text(), userProperties: () => this.#userProperties() });
  }

  #subscription(): RequestedSubscription {
    const random = this.#random;
    const isLatest = this.#version === 5;
    return {
      topicFilter: this.#topic(),
      qos: random.below(3) as QoS,
      noLocal: isLatest && random.chance(0.5),
      retainAsPublished: isLatest && random.chance(0.5),
      retainHandling: isLatest ? (random.below(3) as 0 | 1 | 2) : 0,
    };
  }

  /** Some of these fields; undefined when there are none, and before MQTT 5. */
  #some<Fields extends Record<string, () => unknown>>(
    fields: Fields,
  ): { [Name in keyof Fields]?: ReturnType<Fields[Name]> } | undefined {
    if (this.#version !== 5) return undefined;
    const probability = this.#random.pick([0, 0.3, 1]);
    const chosen = Object.entries(fields).filter(() => this.#random.chance(probability));
    if (chosen.length === 0) return undefined;
    return Object.fromEntries(chosen.map(([name, make]) => [name, make()])) as {
      [Name in keyof Fields]?: ReturnType<Fields[Name]>;
    };
  }

  #userProperties(): UserProperty[] {
    return Array.from({ length: 1 + this.#random.below(4) }, () => [
      this.#random.pick(["a", "b", this.#text()]),
      this.#text(),
    ]);
  }

  #uint32(): number {
    return this.#random.pick([0, 1, 255, 65_536, 0x7fffffff, 0xfffffffe, this.#random.below(2 ** 32 - 1)]);
  }

  #topic(): string {
    return `t${this.#text()}`;
  }

  #text(): string {
    const length = this.#random.below(this.#random.pick([1, 8, 60]));
    return Array.from({ length }, () => this.#random.pick(ALPHABET)).join("");
  }
}
