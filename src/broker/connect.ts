// Answers a CONNECT: which session the client gets, or why it gets none.

import { randomBytes } from "node:crypto";
import { encodePacket } from "../mqtt/codec/encoder.ts";
import type { ConnackProperties, ConnectPacket } from "../mqtt/codec/packets.ts";
import { ReasonCode } from "../mqtt/reason-code.ts";
import { countLevels } from "../mqtt/topic.ts";
import type { BrokerContext } from "./context.ts";
import type { Session } from "./session.ts";

/** Session Expiry Interval for a session that never ends (MQTT 5, 3.1.2.11.2). */
const NEVER = 0xffff_ffff;
const ASSIGNED_ID_BYTES = 12;

export interface AcceptedConnect {
  readonly session: Session;
  readonly isPresent: boolean;
  readonly properties: ConnackProperties;
  /** In seconds; 0: none. */
  readonly keepAlive: number;
}

export interface RefusedConnect {
  readonly reasonCode: ReasonCode;
  readonly reasonString: string;
}

/** Opens the session; a connection that the client still has is taken over. */
export function acceptConnect(context: BrokerContext, packet: ConnectPacket): AcceptedConnect | RefusedConnect {
  const refused = refusalOf(context, packet);
  if (refused !== undefined) return refused;
  const isAssigned = packet.clientId === "";
  const clientId = isAssigned ? `auto-${randomBytes(ASSIGNED_ID_BYTES).toString("hex")}` : packet.clientId;
  const granted = grantedExpiry(context, packet);
  const properties = connackProperties(context, packet, isAssigned ? clientId : "", granted);
  if (properties === undefined) {
    return { reasonCode: ReasonCode.PacketTooLarge, reasonString: "The Maximum Packet Size is too low for CONNACK." };
  }
  const opened = context.sessions.open(clientId, isAssigned, packet.cleanStart);
  if (opened === undefined) {
    return { reasonCode: ReasonCode.QuotaExceeded, reasonString: "There are too many sessions." };
  }
  const { session, isPresent } = opened;
  setExpiry(context, session, granted);
  return { session, isPresent, properties, keepAlive: properties.serverKeepAlive ?? packet.keepAlive };
}

/** Whether CONNACK is within the client's Maximum Packet Size [MQTT-3.1.2-24]; if so, every acknowledgement is. */
function takesConnack({ version, properties: asked }: ConnectPacket, properties: ConnackProperties): boolean {
  if (asked?.maximumPacketSize === undefined) return true;
  const connack = { type: "connack", sessionPresent: true, reasonCode: ReasonCode.Success, properties } as const;
  return encodePacket(connack, version).length <= asked.maximumPacketSize;
}

/** Sets how long the session outlives its connection, in seconds as MQTT 5 tells them. */
export function setExpiry({ persistence }: BrokerContext, session: Session, seconds: number): void {
  session.expiryInterval = seconds === NEVER ? Number.POSITIVE_INFINITY : seconds;
  persistence.keepSession(session);
}

function refusalOf({ options, metrics, sessions }: BrokerContext, packet: ConnectPacket): RefusedConnect | undefined {
  const { version, clientId, cleanStart, properties, will } = packet;
  if (properties?.authenticationMethod !== undefined) {
    return {
      reasonCode: ReasonCode.BadAuthenticationMethod,
      reasonString: "No Authentication Method is supported.",
    };
  }
  // [MQTT-3.1.3-8] of 3.1.1; MQTT 3.1 has no empty Client Identifier at all.
  if (clientId === "" && (version === 3 || (version === 4 && !cleanStart))) {
    return { reasonCode: ReasonCode.ClientIdentifierNotValid, reasonString: "A Client Identifier is needed." };
  }
  if (Buffer.byteLength(clientId) > options.maxClientidLen) {
    return {
      reasonCode: ReasonCode.ClientIdentifierNotValid,
      reasonString: `The Client Identifier is longer than ${options.maxClientidLen} bytes.`,
    };
  }
  if (will !== undefined && countLevels(will.topic) > options.maxTopicLevels) {
    return {
      reasonCode: ReasonCode.TopicNameInvalid,
      reasonString: `The Will Topic has more than ${options.maxTopicLevels} levels.`,
    };
  }
  if (metrics.connections >= options.maxConnections && !sessions.get(clientId)?.isConnected) {
    return { reasonCode: ReasonCode.ServerBusy, reasonString: "There are too many connections." };
  }
  return undefined;
}

function grantedExpiry({ options }: BrokerContext, { version, cleanStart, properties }: ConnectPacket): number {
  if (version < 5) return cleanStart ? 0 : options.sessionExpiryInterval;
  return Math.min(properties?.sessionExpiryInterval ?? 0, options.maxSessionExpiryInterval);
}

/** What CONNACK tells; undefined: the client takes no packet of that size. */
function connackProperties(
  { options }: BrokerContext,
  packet: ConnectPacket,
  assignedClientIdentifier: string,
  grantedExpiryInterval: number,
): ConnackProperties | undefined {
  const { version, properties: asked } = packet;
  if (version < 5) return {};
  const { serverKeepalive, responseInformation } = options;
  const properties: ConnackProperties = {
    sessionExpiryInterval:
      grantedExpiryInterval === (asked?.sessionExpiryInterval ?? 0) ? undefined : grantedExpiryInterval,
    receiveMaximum: options.receiveMaximum,
    maximumPacketSize: options.maxPacketSize,
    assignedClientIdentifier: assignedClientIdentifier === "" ? undefined : assignedClientIdentifier,
    topicAliasMaximum: options.maxTopicAlias,
    serverKeepAlive: serverKeepalive === "disabled" ? undefined : serverKeepalive,
  };
  // [MQTT-3.1.2-28]. A client that has no room for it can do without.
  if (asked?.requestResponseInformation && responseInformation !== "") {
    const informed = { ...properties, responseInformation };
    if (takesConnack(packet, informed)) return informed;
  }
  return takesConnack(packet, properties) ? properties : undefined;
}
