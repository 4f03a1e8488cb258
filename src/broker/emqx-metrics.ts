// What EMQX calls the things that the broker counts: for `$SYS/brokers/…` and for Prometheus.
//
// EMQX tells stats (what is there now, and the most so far) from metrics (counters). Only those are here that mean the
// same in both brokers.

import type { Metrics } from "./metrics.ts";

export interface EmqxMetric {
  /** With dots, as EMQX's API has it. */
  readonly name: string;
  readonly help: string;
  read(metrics: Metrics): number;
}

/** What is there now, by its name without `.count`, and under which name `Metrics.highest` keeps the most. */
const COUNTED: readonly [name: string, of: keyof Metrics["highest"], help: string][] = [
  ["connections", "sessions", "Sessions, those of clients that are away included"],
  ["live_connections", "connections", "Connected clients"],
  ["sessions", "sessions", "Sessions, those of clients that are away included"],
  ["topics", "topics", "Different topic filters that are subscribed to"],
  ["subscriptions", "subscriptions", "Subscriptions"],
  ["subscriptions.shared", "sharedSubscriptions", "Subscriptions that are memberships of shared subscriptions"],
  ["retained", "retained", "Topics with a retained message"],
];

export const EMQX_STATS: readonly EmqxMetric[] = COUNTED.flatMap(([name, of, help]) => [
  { name: `${name}.count`, help, read: (metrics) => metrics[of] },
  { name: `${name}.max`, help: `${help}: the most so far`, read: ({ highest }) => highest[of] },
]);

export const EMQX_METRICS: readonly EmqxMetric[] = [
  metric("bytes.received", "Bytes received from clients", ({ bytesReceived }) => bytesReceived),
  metric("bytes.sent", "Bytes sent to clients", ({ bytesSent }) => bytesSent),
  metric("packets.received", "MQTT packets received", ({ packetsReceived }) => packetsReceived),
  metric("packets.sent", "MQTT packets sent", ({ packetsSent }) => packetsSent),
  metric("packets.publish.received", "PUBLISH packets received", ({ messagesReceived }) => sum(messagesReceived)),
  metric("packets.publish.sent", "PUBLISH packets sent", ({ messagesSent }) => sum(messagesSent)),
  metric("messages.received", "Messages received", ({ messagesReceived }) => sum(messagesReceived)),
  metric("messages.sent", "Messages sent, those sent again included", ({ messagesSent }) => sum(messagesSent)),
  ...([0, 1, 2] as const).flatMap((qos) => [
    metric(
      `messages.qos${qos}.received`,
      `Messages received with QoS ${qos}`,
      (metrics) => metrics.messagesReceived[qos],
    ),
    metric(`messages.qos${qos}.sent`, `Messages sent with QoS ${qos}`, (metrics) => metrics.messagesSent[qos]),
  ]),
  metric("messages.publish", "Messages published, wills and those of the API included", (metrics) => {
    return sum(metrics.messagesReceived) + metrics.willsPublished + metrics.publishesOfAdministrator;
  }),
  metric("messages.dropped", "Messages that no subscription matched", (metrics) => metrics.publishesWithoutSubscriber),
  metric("messages.dropped.no_subscribers", "Messages that no subscription matched", (metrics) => {
    return metrics.publishesWithoutSubscriber;
  }),
  metric("messages.acked", "Messages acknowledged by PUBACK or PUBREC", ({ messagesAcked }) => messagesAcked),
  metric("delivery.dropped", "Deliveries to a client that were dropped", ({ dropped }) => sum(Object.values(dropped))),
  metric(
    "delivery.dropped.too_large",
    "Deliveries dropped: above the client's Maximum Packet Size",
    ({ dropped }) => dropped.tooLarge,
  ),
  metric("delivery.dropped.qos0_msg", "Deliveries dropped: QoS 0, and the client reads too slowly", ({ dropped }) => {
    return dropped.slowReader;
  }),
  metric(
    "delivery.dropped.queue_full",
    "Deliveries dropped: the session's queue was full",
    ({ dropped }) => dropped.queueFull,
  ),
  metric("delivery.dropped.expired", "Deliveries dropped: the message had expired", ({ dropped }) => dropped.expired),
  metric("client.connect", "CONNECT packets answered", (metrics) => metrics.clientsConnected + metrics.connectsRefused),
  metric("client.connected", "Clients that were connected", ({ clientsConnected }) => clientsConnected),
  metric("client.disconnected", "Clients that are gone again", ({ clientsDisconnected }) => clientsDisconnected),
  metric("session.created", "Sessions begun", ({ sessionsCreated }) => sessionsCreated),
  metric("session.resumed", "Sessions resumed", ({ sessionsResumed }) => sessionsResumed),
  metric("session.discarded", "Sessions ended by Clean Start", ({ sessionsDiscarded }) => sessionsDiscarded),
  metric("session.terminated", "Sessions ended", ({ sessionsTerminated }) => sessionsTerminated),
];

function metric(name: string, help: string, read: EmqxMetric["read"]): EmqxMetric {
  return { name, help, read };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
