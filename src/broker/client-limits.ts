// What a client says in CONNECT that it can take, within the broker's own limits.

import type { ConnectPacket, ProtocolVersion } from "../mqtt/codec/packets.ts";
import type { BrokerOptions } from "./options.ts";

export interface ClientLimits {
  readonly version: ProtocolVersion;
  /** How many QoS 1 and 2 messages may be unacknowledged. */
  readonly receiveMaximum: number;
  /** Maximum Packet Size in bytes; undefined: none. */
  readonly maximumPacketSize: number | undefined;
  /** Topic Aliases that may be used. */
  readonly topicAliasMaximum: number;
  /** Bytes of their topics. */
  readonly topicAliasBytes: number;
  /** Request Problem Information (MQTT 5, 3.1.2.11.7). */
  readonly mayGiveReasons: boolean;
}

export function clientLimits({ version, properties = {} }: ConnectPacket, options: BrokerOptions): ClientLimits {
  return {
    version,
    receiveMaximum: Math.min(properties.receiveMaximum ?? options.maxInflight, options.maxInflight),
    maximumPacketSize: properties.maximumPacketSize,
    topicAliasMaximum: Math.min(properties.topicAliasMaximum ?? 0, options.maxTopicAlias),
    topicAliasBytes: options.maxTopicAliasBytes,
    mayGiveReasons: properties.requestProblemInformation ?? true,
  };
}
