// A client and its session by EMQX's names. What is not known is left out: after a restart of the broker, all of the last connection.

import { type Static, Type } from "typebox";
import { protocolName } from "../../broker/client-info.ts";
import type { BrokerOptions } from "../../broker/options.ts";
import type { Session } from "../../broker/session.ts";
import { NODE_NAME } from "../../broker/sys-topics-values.ts";

/** What EMQX tells of a session that never ends. */
const NEVER = 0xffff_ffff;

const Count = Type.Integer({ minimum: 0 });
const Time = Type.String({ description: "RFC 3339" });

export const Client = Type.Object({
  clientid: Type.String(),
  node: Type.String(),
  connected: Type.Boolean(),
  username: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  ip_address: Type.Optional(Type.String()),
  port: Type.Optional(Type.Integer()),
  proto_name: Type.Optional(Type.String()),
  proto_ver: Type.Optional(Type.Integer()),
  keepalive: Type.Optional(Count),
  clean_start: Type.Optional(Type.Boolean()),
  expiry_interval: Count,
  created_at: Time,
  connected_at: Type.Optional(Time),
  disconnected_at: Type.Optional(Time),
  subscriptions_cnt: Count,
  subscriptions_max: Count,
  inflight_cnt: Count,
  inflight_max: Count,
  mqueue_len: Count,
  mqueue_max: Count,
  mqueue_dropped: Count,
  awaiting_rel_cnt: Count,
  recv_oct: Type.Optional(Count),
  recv_pkt: Type.Optional(Count),
  recv_msg: Type.Optional(Count),
  send_oct: Type.Optional(Count),
  send_pkt: Type.Optional(Count),
  send_msg: Type.Optional(Count),
});

export function clientJson(session: Session, options: BrokerOptions): Static<typeof Client> {
  const { clientId, isConnected, link, queue, inflight, subscriptions, incoming } = session;
  return {
    clientid: clientId,
    node: NODE_NAME,
    connected: isConnected,
    ...connectionJson(session),
    expiry_interval: Math.min(session.expiryInterval, NEVER),
    created_at: timeText(session.createdAt),
    ...(isConnected ? undefined : { disconnected_at: disconnectedAt(session) }),
    subscriptions_cnt: subscriptions.size,
    subscriptions_max: options.maxSubscriptions,
    inflight_cnt: inflight.size,
    inflight_max: link?.window ?? options.maxInflight,
    mqueue_len: queue.length,
    mqueue_max: options.maxMqueueLen,
    mqueue_dropped: session.dropped,
    awaiting_rel_cnt: incoming.size,
  };
}

/** What is known of the connection, or of the last one. */
function connectionJson({ client }: Session): Partial<Static<typeof Client>> {
  if (client === undefined) return {};
  const { userName = null, remoteAddress, remotePort, version, keepAlive, cleanStart, connectedAt, traffic } = client;
  return {
    username: userName,
    ...(remoteAddress === undefined ? undefined : { ip_address: remoteAddress }),
    ...(remotePort === undefined ? undefined : { port: remotePort }),
    proto_name: protocolName(version),
    proto_ver: version,
    keepalive: keepAlive,
    clean_start: cleanStart,
    connected_at: timeText(connectedAt),
    recv_oct: traffic.bytesReceived,
    recv_pkt: traffic.packetsReceived,
    recv_msg: traffic.messagesReceived,
    send_oct: traffic.bytesSent,
    send_pkt: traffic.packetsSent,
    send_msg: traffic.messagesSent,
  };
}

/** After a restart only the end of the session is known, if it has one. */
function disconnectedAt({ client, expiresAt, expiryInterval }: Session): string | undefined {
  if (client?.disconnectedAt !== undefined) return timeText(client.disconnectedAt);
  return expiryInterval === Number.POSITIVE_INFINITY ? undefined : timeText(expiresAt - expiryInterval * 1000);
}

function timeText(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
