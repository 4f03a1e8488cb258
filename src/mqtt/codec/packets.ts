// The fifteen control packets of MQTT 3.1, 3.1.1 and 5, told apart by `type`, with the standard's names.

import type { MessageProperties, QoS, UserProperty } from "../message.ts";
import type { SubscriptionRequest } from "../subscription.ts";

/** 3 is MQTT 3.1 (`MQIsdp`), 4 is 3.1.1, 5 is 5.0. */
export type ProtocolVersion = 3 | 4 | 5;

/** By the number in the fixed header (2.1.2); 0 is forbidden. */
export const PACKET_TYPES = [
  undefined,
  "connect",
  "connack",
  "publish",
  "puback",
  "pubrec",
  "pubrel",
  "pubcomp",
  "subscribe",
  "suback",
  "unsubscribe",
  "unsuback",
  "pingreq",
  "pingresp",
  "disconnect",
  "auth",
] as const;

export type PacketType = NonNullable<(typeof PACKET_TYPES)[number]>;

interface WithUserProperties {
  readonly userProperties?: readonly UserProperty[];
}

interface WithReasonString extends WithUserProperties {
  readonly reasonString?: string;
}

interface WithAuthentication {
  readonly authenticationMethod?: string;
  readonly authenticationData?: Uint8Array;
}

/** 3.1.2.11 */
export interface ConnectProperties extends WithUserProperties, WithAuthentication {
  /** In seconds; 0xFFFFFFFF is forever. */
  readonly sessionExpiryInterval?: number;
  readonly receiveMaximum?: number;
  /** In bytes. */
  readonly maximumPacketSize?: number;
  readonly topicAliasMaximum?: number;
  readonly requestResponseInformation?: boolean;
  readonly requestProblemInformation?: boolean;
}

/** 3.1.3.2 */
export interface WillProperties extends MessageProperties {
  /** In seconds. */
  readonly willDelayInterval?: number;
  /** In seconds. */
  readonly messageExpiryInterval?: number;
}

/** 3.2.2.3 */
export interface ConnackProperties extends WithReasonString, WithAuthentication {
  /** In seconds; 0xFFFFFFFF is forever. */
  readonly sessionExpiryInterval?: number;
  readonly receiveMaximum?: number;
  readonly maximumQoS?: 0 | 1;
  readonly retainAvailable?: boolean;
  /** In bytes. */
  readonly maximumPacketSize?: number;
  readonly assignedClientIdentifier?: string;
  readonly topicAliasMaximum?: number;
  readonly wildcardSubscriptionAvailable?: boolean;
  readonly subscriptionIdentifiersAvailable?: boolean;
  readonly sharedSubscriptionAvailable?: boolean;
  /** In seconds. */
  readonly serverKeepAlive?: number;
  readonly responseInformation?: string;
  readonly serverReference?: string;
}

/** 3.3.2.3 */
export interface PublishProperties extends MessageProperties {
  /** In seconds. */
  readonly messageExpiryInterval?: number;
  readonly topicAlias?: number;
  readonly subscriptionIdentifiers?: readonly number[];
}

/** Of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK. */
export interface AckProperties extends WithReasonString {}

/** 3.8.2.1 */
export interface SubscribeProperties extends WithUserProperties {
  readonly subscriptionIdentifier?: number;
}

/** 3.10.2.1 */
export interface UnsubscribeProperties extends WithUserProperties {}

/** 3.14.2.2 */
export interface DisconnectProperties extends WithReasonString {
  /** In seconds. */
  readonly sessionExpiryInterval?: number;
  readonly serverReference?: string;
}

/** 3.15.2.2 */
export interface AuthProperties extends WithReasonString, WithAuthentication {}

export interface Will {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties?: WillProperties;
}

export interface ConnectPacket {
  readonly type: "connect";
  readonly version: ProtocolVersion;
  /** Clean Session before MQTT 5. */
  readonly cleanStart: boolean;
  /** In seconds; 0 is off. */
  readonly keepAlive: number;
  readonly clientId: string;
  readonly will?: Will;
  readonly userName?: string;
  readonly password?: Uint8Array;
  readonly properties?: ConnectProperties;
}

export interface ConnackPacket {
  readonly type: "connack";
  readonly sessionPresent: boolean;
  /** A Reason Code of MQTT 5, or a return code from 0 to 5 of the versions before. */
  readonly reasonCode: number;
  readonly properties?: ConnackProperties;
}

export interface PublishPacket {
  readonly type: "publish";
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly dup: boolean;
  /** With QoS 1 and 2 only. */
  readonly packetId?: number;
  readonly payload: Uint8Array;
  readonly properties?: PublishProperties;
}

export interface AckPacket<Type extends "puback" | "pubrec" | "pubrel" | "pubcomp"> {
  readonly type: Type;
  readonly packetId: number;
  /** 0 before MQTT 5. */
  readonly reasonCode: number;
  readonly properties?: AckProperties;
}

export type PubackPacket = AckPacket<"puback">;
export type PubrecPacket = AckPacket<"pubrec">;
export type PubrelPacket = AckPacket<"pubrel">;
export type PubcompPacket = AckPacket<"pubcomp">;

/** One Topic Filter of a SUBSCRIBE with its Subscription Options; before MQTT 5 there is only the QoS. */
export type RequestedSubscription = Omit<SubscriptionRequest, "subscriptionIdentifier">;

export interface SubscribePacket {
  readonly type: "subscribe";
  readonly packetId: number;
  readonly subscriptions: readonly RequestedSubscription[];
  readonly properties?: SubscribeProperties;
}

export interface SubackPacket {
  readonly type: "suback";
  readonly packetId: number;
  /** One for each filter, in their order. */
  readonly reasonCodes: readonly number[];
  readonly properties?: AckProperties;
}

export interface UnsubscribePacket {
  readonly type: "unsubscribe";
  readonly packetId: number;
  readonly topicFilters: readonly string[];
  readonly properties?: UnsubscribeProperties;
}

export interface UnsubackPacket {
  readonly type: "unsuback";
  readonly packetId: number;
  /** One for each filter, in their order; none before MQTT 5. */
  readonly reasonCodes: readonly number[];
  readonly properties?: AckProperties;
}

export interface PingreqPacket {
  readonly type: "pingreq";
}

export interface PingrespPacket {
  readonly type: "pingresp";
}

export interface DisconnectPacket {
  readonly type: "disconnect";
  /** 0 before MQTT 5. */
  readonly reasonCode: number;
  readonly properties?: DisconnectProperties;
}

export interface AuthPacket {
  readonly type: "auth";
  readonly reasonCode: number;
  readonly properties?: AuthProperties;
}

export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | PubackPacket
  | PubrecPacket
  | PubrelPacket
  | PubcompPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | PingreqPacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacket;
