// Clients that come and go: counted, and told to whoever subscribes to EMQX's `$SYS/brokers/+/clients/+/connected` and
// `…/disconnected`. Nothing is made of an event that nobody would get.

import { validateTopicName } from "../mqtt/topic.ts";
import { type ClientInfo, protocolName } from "./client-info.ts";
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

/** What EMQX tells of a client that gave no user name. */
const NO_USER_NAME = "undefined";

export class ClientEvents {
  readonly #context: ClientEventsContext;

  constructor(context: ClientEventsContext) {
    this.#context = context;
  }

  /** A CONNECT is accepted. */
  connected(): void {
    const { metrics } = this.#context;
    metrics.connections += 1;
    metrics.clientsConnected += 1;
  }

  /** The client has what was kept for it: the event goes out, unless the client is gone already. */
  announce(session: Session): void {
    if (!session.isConnected) return;
    this.#publish(session, "connected", ({ keepAlive, cleanStart }) => ({
      keepalive: keepAlive,
      clean_start: cleanStart,
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
    this.#publish(session, "disconnected", () => ({ reason, disconnected_at: now() }));
  }

  /** A Client Identifier that no topic can contain, such as one with `#`, has no events. */
  #publish(
    { clientId, client }: Session,
    event: "connected" | "disconnected",
    fields: (client: ClientInfo) => object,
  ): void {
    const { metrics, sysTopics, now } = this.#context;
    if (client === undefined || metrics.sysSubscriptions === 0) return;
    const topic = `${NODE_TOPICS}/clients/${clientId}/${event}`;
    if (!sysTopics.reaches(topic) || validateTopicName(topic) !== undefined) return;
    const info = { clientid: clientId, ...infoOf(client), ...fields(client), ts: now() };
    sysTopics.publish(topic, JSON.stringify(info));
  }
}

/** The fields that both events have, by EMQX's names. */
function infoOf({ userName = NO_USER_NAME, remoteAddress, localPort, version, connectedAt }: ClientInfo): object {
  return {
    username: userName,
    ipaddress: remoteAddress,
    sockport: localPort,
    protocol: "mqtt",
    proto_name: protocolName(version),
    proto_ver: version,
    connected_at: connectedAt,
  };
}
