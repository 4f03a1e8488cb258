// What the codec refuses, with the Reason Code that MQTT 5 gives for it.

import { CodedError } from "../coded-error.ts";
import { ReasonCode } from "../reason-code.ts";
import type { PacketType, ProtocolVersion } from "./packets.ts";

/** The Reason Codes of refused packets, and the code that each error carries. */
const ERROR_CODES = {
  [ReasonCode.MalformedPacket]: "MQTT_MALFORMED_PACKET",
  [ReasonCode.ProtocolError]: "MQTT_PROTOCOL_ERROR",
  [ReasonCode.UnsupportedProtocolVersion]: "MQTT_UNSUPPORTED_PROTOCOL_VERSION",
  [ReasonCode.TopicNameInvalid]: "MQTT_TOPIC_NAME_INVALID",
  [ReasonCode.TopicAliasInvalid]: "MQTT_TOPIC_ALIAS_INVALID",
  [ReasonCode.PacketTooLarge]: "MQTT_PACKET_TOO_LARGE",
} as const;

export type DecodeReasonCode = keyof typeof ERROR_CODES;

/** Where decoding stood when it failed. */
export interface DecodeContext {
  /** Absent when the fixed header's type is not known. */
  readonly packetType?: PacketType;
  /** Absent until a CONNECT with a supported Protocol Version was read. */
  readonly version?: ProtocolVersion;
  /** The Protocol Version byte of a CONNECT with an unsupported one. */
  readonly protocolLevel?: number;
}

/**
 * The peer broke the protocol: answer with the Reason Code where its version knows them, and close the connection.
 * A CONNECT failed when `packetType` is `connect`; its answer is a CONNACK (return code 0x01 when `reasonCode` is 0x84
 * and `version` is absent; no answer at all for other errors before MQTT 5).
 */
export class MqttDecodeError extends CodedError implements DecodeContext {
  readonly reasonCode: DecodeReasonCode;
  readonly packetType?: PacketType;
  readonly version?: ProtocolVersion;
  readonly protocolLevel?: number;

  constructor(reasonCode: DecodeReasonCode, message: string, context: DecodeContext) {
    super(ERROR_CODES[reasonCode], message);
    this.reasonCode = reasonCode;
    this.packetType = context.packetType;
    this.version = context.version;
    this.protocolLevel = context.protocolLevel;
  }
}

/** A text, binary value or packet longer than MQTT's lengths can tell. */
export class MqttEncodeError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("MQTT_ENCODE_TOO_LONG", message, options);
  }
}
