// The broker's metrics: EMQX's by EMQX's names, and those that EMQX does not have.

import { EMQX_METRICS, EMQX_STATS, type EmqxMetric } from "../broker/emqx-metrics.ts";
import type { Metrics } from "../broker/metrics.ts";
import { counter, gauge, labelled, type MetricDefinition } from "./metric-definition.ts";

export function brokerMetrics(metrics: Metrics): MetricDefinition[] {
  const emqx = (kind: MetricDefinition["kind"], { name, help, read }: EmqxMetric): MetricDefinition => {
    return { name: `emqx_${name.replaceAll(".", "_")}`, kind, help, read: () => read(metrics) };
  };
  return [
    ...EMQX_STATS.map((stat) => emqx("gauge", stat)),
    ...EMQX_METRICS.map((metric) => emqx("counter", metric)),
    gauge("omp_messages_queued", "Messages that wait in sessions", () => metrics.queued),
    gauge("omp_messages_queued_bytes", "Bytes of the messages that wait in sessions", () => metrics.queuedBytes),
    gauge("omp_messages_inflight", "QoS 1 and 2 messages sent and not acknowledged", () => metrics.inflight),
    gauge("omp_publishes_waiting", "Publishes that wait for the plugin", () => metrics.publishesWaiting),
    gauge("omp_retained_bytes", "Bytes of all retained messages", () => metrics.retainedBytes),
    labelled("omp_deliveries_dropped_total", "Deliveries to a client that were dropped", "reason", () => ({
      queue_full: metrics.dropped.queueFull,
      slow_reader: metrics.dropped.slowReader,
      too_large: metrics.dropped.tooLarge,
      expired: metrics.dropped.expired,
      no_member: metrics.dropped.noMember,
    })),
    counter("omp_deliveries_left_to_store_total", "Stored messages that found a session's queue full", () => {
      return metrics.leftToStore;
    }),
    counter("omp_publishes_refused_total", "QoS 1 and 2 publishes that the plugin refused", () => {
      return metrics.publishesRefused;
    }),
    counter("omp_refusals_acknowledged_total", "Refused publishes that were acknowledged all the same", () => {
      return metrics.refusalsAcknowledged;
    }),
    counter("omp_publishes_reserved_total", "Publishes and wills to $SYS/, which go nowhere", () => {
      return metrics.publishesToReserved;
    }),
    counter("omp_publish_bytes_received_total", "Payload bytes received", () => metrics.publishBytesReceived),
    counter("omp_publish_bytes_sent_total", "Payload bytes sent", () => metrics.publishBytesSent),
    counter("omp_retained_refused_total", "Messages that were not retained for want of room", () => {
      return metrics.retainedRefused;
    }),
    counter("omp_wills_published_total", "Wills published", () => metrics.willsPublished),
    counter("omp_wills_refused_total", "Wills that the plugin refused: they are lost", () => metrics.willsRefused),
    counter("omp_sockets_accepted_total", "Connections accepted", () => metrics.socketsAccepted),
    counter("omp_sockets_refused_total", "Connections closed at once: too many", () => metrics.socketsRefused),
    counter("omp_connects_refused_total", "CONNECT packets refused", () => metrics.connectsRefused),
    counter("omp_protocol_errors_total", "Connections closed for a forbidden packet", () => metrics.protocolErrors),
    counter("omp_takeovers_total", "Connections taken over by another of the same client", () => metrics.takeovers),
    counter("omp_slow_readers_closed_total", "Clients closed because they read too slowly", () => {
      return metrics.slowReadersClosed;
    }),
    counter("omp_sessions_expired_total", "Sessions ended because their client was away for too long", () => {
      return metrics.sessionsExpired;
    }),
    counter("omp_hook_errors_total", "Calls of the plugin that failed", () => metrics.hookErrors),
  ];
}
