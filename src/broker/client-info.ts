// What is known of a session's client: of its connection, or of the last one that it had.

import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { ConnectPacket, ProtocolVersion } from "../mqtt/codec/packets.ts";
import type { Traffic } from "./traffic.ts";

export interface ClientInfo {
  /** Absent: the client gave none. */
  readonly userName: string | undefined;
  /** The client's address; absent for streams that are no sockets. */
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** The port that the client came to. */
  readonly localPort: number | undefined;
  readonly version: ProtocolVersion;
  /** As the client asked for it, in seconds; 0: none. */
  readonly keepAlive: number;
  readonly cleanStart: boolean;
  /** Ms since the epoch. */
  readonly connectedAt: number;
  /** Ms since the epoch; undefined: the client is connected. */
  disconnectedAt: number | undefined;
  readonly traffic: Traffic;
}

export function clientInfo(packet: ConnectPacket, stream: Duplex, connectedAt: number, traffic: Traffic): ClientInfo {
  const { remoteAddress, remotePort, localPort } = stream as Duplex & Partial<Socket>;
  const { version, userName, keepAlive, cleanStart } = packet;
  return {
    userName,
    remoteAddress,
    remotePort,
    localPort,
    version,
    keepAlive,
    cleanStart,
    connectedAt,
    disconnectedAt: undefined,
    traffic,
  };
}

export function protocolName(version: ProtocolVersion): "MQTT" | "MQIsdp" {
  return version === 3 ? "MQIsdp" : "MQTT";
}
