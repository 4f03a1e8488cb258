// Which Reason Codes each packet may carry (MQTT 5, 2.4), and what they become before MQTT 5.

import { ReasonCode as Code } from "../reason-code.ts";
import type { PacketType, ProtocolVersion } from "./packets.ts";

const PUBACK = [
  Code.Success,
  Code.NoMatchingSubscribers,
  Code.UnspecifiedError,
  Code.ImplementationSpecificError,
  Code.NotAuthorized,
  Code.TopicNameInvalid,
  Code.PacketIdentifierInUse,
  Code.QuotaExceeded,
  Code.PayloadFormatInvalid,
];
const PUBREL = [Code.Success, Code.PacketIdentifierNotFound];

const REASON_CODES: Partial<Record<PacketType, ReadonlySet<number>>> = {
  connack: new Set([
    Code.Success,
    Code.UnspecifiedError,
    Code.MalformedPacket,
    Code.ProtocolError,
    Code.ImplementationSpecificError,
    Code.UnsupportedProtocolVersion,
    Code.ClientIdentifierNotValid,
    Code.BadUserNameOrPassword,
    Code.NotAuthorized,
    Code.ServerUnavailable,
    Code.ServerBusy,
    Code.Banned,
    Code.BadAuthenticationMethod,
    Code.TopicNameInvalid,
    Code.PacketTooLarge,
    Code.QuotaExceeded,
    Code.PayloadFormatInvalid,
    Code.RetainNotSupported,
    Code.QoSNotSupported,
    Code.UseAnotherServer,
    Code.ServerMoved,
    Code.ConnectionRateExceeded,
  ]),
  puback: new Set(PUBACK),
  pubrec: new Set(PUBACK),
  pubrel: new Set(PUBREL),
  pubcomp: new Set(PUBREL),
  suback: new Set([
    Code.GrantedQoS0,
    Code.GrantedQoS1,
    Code.GrantedQoS2,
    Code.UnspecifiedError,
    Code.ImplementationSpecificError,
    Code.NotAuthorized,
    Code.TopicFilterInvalid,
    Code.PacketIdentifierInUse,
    Code.QuotaExceeded,
    Code.SharedSubscriptionsNotSupported,
    Code.SubscriptionIdentifiersNotSupported,
    Code.WildcardSubscriptionsNotSupported,
  ]),
  unsuback: new Set([
    Code.Success,
    Code.NoSubscriptionExisted,
    Code.UnspecifiedError,
    Code.ImplementationSpecificError,
    Code.NotAuthorized,
    Code.TopicFilterInvalid,
    Code.PacketIdentifierInUse,
  ]),
  disconnect: new Set([
    Code.NormalDisconnection,
    Code.DisconnectWithWillMessage,
    Code.UnspecifiedError,
    Code.MalformedPacket,
    Code.ProtocolError,
    Code.ImplementationSpecificError,
    Code.NotAuthorized,
    Code.ServerBusy,
    Code.ServerShuttingDown,
    Code.BadAuthenticationMethod,
    Code.KeepAliveTimeout,
    Code.SessionTakenOver,
    Code.TopicFilterInvalid,
    Code.TopicNameInvalid,
    Code.ReceiveMaximumExceeded,
    Code.TopicAliasInvalid,
    Code.PacketTooLarge,
    Code.MessageRateTooHigh,
    Code.QuotaExceeded,
    Code.AdministrativeAction,
    Code.PayloadFormatInvalid,
    Code.RetainNotSupported,
    Code.QoSNotSupported,
    Code.UseAnotherServer,
    Code.ServerMoved,
    Code.SharedSubscriptionsNotSupported,
    Code.ConnectionRateExceeded,
    Code.MaximumConnectTime,
    Code.SubscriptionIdentifiersNotSupported,
    Code.WildcardSubscriptionsNotSupported,
  ]),
  auth: new Set([Code.Success, Code.ContinueAuthentication, Code.ReAuthenticate]),
};

/** SUBACK return codes of MQTT 3.1.1 (3.9.3). */
const SUBACK_RETURN_CODES: ReadonlySet<number> = new Set([0, 1, 2, 0x80]);

/** CONNACK return codes of MQTT 3.1.1 (3.2.2.3). */
const MAX_CONNACK_RETURN_CODE = 5;

export function isReasonCodeOf(type: PacketType, version: ProtocolVersion | undefined, reasonCode: number): boolean {
  if (version !== 5 && type === "connack") return reasonCode <= MAX_CONNACK_RETURN_CODE;
  if (version !== 5 && type === "suback") return SUBACK_RETURN_CODES.has(reasonCode);
  return REASON_CODES[type]?.has(reasonCode) ?? false;
}

/** CONNACK return codes before MQTT 5, by the Reason Codes that say the same; others are "server unavailable". */
const CONNACK_RETURN_CODES = new Map<number, number>([
  [Code.UnsupportedProtocolVersion, 1],
  [Code.ClientIdentifierNotValid, 2],
  [Code.BadUserNameOrPassword, 4],
  [Code.NotAuthorized, 5],
  [Code.Banned, 5],
  [Code.BadAuthenticationMethod, 5],
]);
const SERVER_UNAVAILABLE = 3;

/** The CONNACK return code for a Reason Code of MQTT 5; return codes 0 to 5 stay what they are. */
export function connackReturnCode(reasonCode: number): number {
  if (reasonCode <= MAX_CONNACK_RETURN_CODE) return reasonCode;
  return CONNACK_RETURN_CODES.get(reasonCode) ?? SERVER_UNAVAILABLE;
}

/** The SUBACK return code for a Reason Code of MQTT 5: the granted QoS or 0x80, "failure". */
export function subackReturnCode(reasonCode: number): number {
  return reasonCode <= 2 ? reasonCode : 0x80;
}
