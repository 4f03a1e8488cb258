// Clients that come and go: counted, and told to whoever subscribes to EMQX's `$SYS/brokers/+/clients/+/connected` and
// `…/disconnected`. Nothing is made of an event that nobody would get.

import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { ConnectPacket } from "../mqtt/codec/packets.ts";
import { validateTopicName } from "../mqtt/topic.ts";
import type { Metrics } from "./metrics.ts";
import type { Session } from "./session.ts";
import type { SysTopics } from "./sys-topics.ts";
import { NODE_TOPICS } from "./sys-topics-values.ts";

interface ClientEventsContext {
  readonly metrics: Metrics;
  readonly sysTopics: SysTopics;
  /** Ms since the epoch. */
  now(): number;
}

/** The fields that both events have, by EMQX's names. */
interface ClientInfo {
  readonly clientid: string;
  readonly username: string;
  /** The client's address; absent for streams that are no sockets. */
  readonly ipaddress: string | undefined;
  readonly sockport: number | undefined;
  readonly protocol: "mqtt";
  readonly proto_name: "MQTT" | "MQIsdp";
  readonly proto_ver: number;
  readonly connected_at: number;
}

interface ConnectedClient {
  readonly info: ClientInfo;
  readonly keepalive: number;
  readonly cleanStart: boolean;
}

/** What EMQX tells of a client that gave no user name. */
const NO_USER_NAME = "undefined";

export class ClientEvents {
  readonly #context: ClientEventsContext;
  readonly #clients = new Map<Session, ConnectedClient>();

  constructor(context: ClientEventsContext) {
    this.#context = context;
  }

  /** A CONNECT is accepted. */
  connected(session: Session, packet: ConnectPacket, stream: Duplex): void {
    const { metrics, sysTopics, now } = this.#context;
    metrics.connections += 1;
    metrics.clientsConnected += 1;
    if (!sysTopics.isOn) return;
    const { remoteAddress, localPort } = stream as Duplex & Partial<Pick<Socket, "remoteAddress" | "localPort">>;
    const { version, userName = NO_USER_NAME, keepAlive, cleanStart } = packet;
    const info: ClientInfo = {
      clientid: session.clientId,
      username: userName,
      ipaddress: remoteAddress,
      sockport: localPort,
      protocol: "mqtt",
      proto_name: version === 3 ? "MQIsdp" : "MQTT",
      proto_ver: version,
      connected_at: now(),
    };
    this.#clients.set(session, { info, keepalive: keepAlive, cleanStart });
  }

  /** The client has what was kept for it: the event goes out, unless the client is gone already. */
  announce(session: Session): void {
    const client = this.#clients.get(session);
    if (client === undefined) return;
    this.#publish(session, "connected", () => ({
      ...client.info,
      keepalive: client.keepalive,
      clean_start: client.cleanStart,
      // JSON has no infinity: 0xFFFFFFFF stands for a session that never ends, as in CONNECT.
      expiry_interval: Math.min(session.expiryInterval, 0xffff_ffff),
      connack: 0,
    }));
  }

  /** The connection is over. */
  disconnected(session: Session, reason: string): void {
    const { metrics, now } = this.#context;
    metrics.connections -= 1;
    metrics.clientsDisconnected += 1;
    const client = this.#clients.get(session);
    if (client === undefined) return;
    this.#clients.delete(session);
    this.#publish(session, "disconnected", () => ({ ...client.info, reason, disconnected_at: now() }));
  }

  /** A Client Identifier that no topic can contain, such as one with `#`, has no events. */
  #publish({ clientId }: Session, event: "connected" | "disconnected", fields: () => object): void {
    const { metrics, sysTopics, now } = this.#context;
    if (metrics.sysSubscriptions === 0) return;
    const topic = `${NODE_TOPICS}/clients/${clientId}/${event}`;
    if (!sysTopics.reaches(topic) || validateTopicName(topic) !== undefined) return;
    sysTopics.publish(topic, JSON.stringify({ ...fields(), ts: now() }));
  }
}
