// The offline message plugin's metrics.

import type { OfflineMessagePlugin } from "../plugin/offline-message-plugin.ts";
import type { StoredSummary } from "../plugin/stored-summary.ts";
import type { StoreTotals } from "../store/store.ts";
import { type AnyMetric, counter, gauge, histogram, labelled, labelledGauge } from "./metric-definition.ts";

type Measured = Pick<OfflineMessagePlugin, "counters" | "memory"> & {
  readonly stored: Pick<OfflineMessagePlugin["stored"], "latest">;
};

/** What stands for all topics but the largest. */
const OTHERS = "other";

export function pluginMetrics(plugin: Measured): AnyMetric[] {
  const { counters } = plugin;
  const stored = () => plugin.stored.latest;
  return [
    counter("omp_plugin_stored_total", "Messages stored", () => counters.stored),
    histogram("omp_plugin_save_seconds", "Time that the store took for a message", counters.saveTime),
    labelled("omp_plugin_refused_total", "Publishes refused because the store failed", "reason", () => ({
      unavailable: counters.refused.unavailable,
      limit: counters.refused.limit,
      too_large: counters.refused.tooLarge,
      invalid: counters.refused.invalid,
    })),
    counter("omp_plugin_ignored_total", "Publishes let through although they could not be stored", () => {
      return counters.ignored;
    }),
    counter("omp_plugin_replayed_total", "Stored messages handed to a client", () => counters.replayed),
    counter("omp_plugin_acknowledged_total", "Stored messages acknowledged by a client", () => counters.acknowledged),
    counter("omp_plugin_passed_over_total", "Stored messages above a client's Maximum Packet Size", () => {
      return counters.passedOverTooLarge;
    }),
    counter("omp_plugin_expired_total", "Messages that expired in the store", () => counters.expired),
    counter("omp_plugin_overflowed_total", "Messages dropped to make room", () => counters.overflowed),
    counter("omp_plugin_owed_bound_total", "Messages no longer owed to a session that catches up: too many", () => {
      return counters.owedBound;
    }),
    counter("omp_plugin_removals_given_up_total", "Removals given up: the messages may come again", () => {
      return counters.removalsGivenUp;
    }),
    counter("omp_plugin_subscriptions_not_stored_total", "Subscriptions that could not be stored", () => {
      return counters.subscriptionsNotStored;
    }),
    counter(
      "omp_plugin_subscriptions_collided_total",
      "Subscriptions not stored: the store takes them for others",
      () => {
        return counters.subscriptionsCollided;
      },
    ),
    gauge("omp_plugin_replays", "Subscriptions that catch up", () => plugin.memory.replays),
    gauge("omp_plugin_claims", "Stored messages that a client holds", () => plugin.memory.claims),
    gauge("omp_plugin_owed", "Messages owed to sessions that catch up", () => plugin.memory.owed),
    gauge("omp_plugin_removals_waiting", "Removals that wait for the store", () => plugin.memory.removals),
    gauge("omp_plugin_backlog_messages", "Messages that are stored", () => stored()?.messages),
    gauge("omp_plugin_backlog_bytes", "Payload bytes of those", () => stored()?.bytes),
    gauge("omp_plugin_backlog_oldest_seconds", "Age of the oldest message that is stored", () => {
      const oldest = stored()?.oldest;
      return oldest === undefined ? undefined : Math.max(0, (Date.now() - oldest) / 1000);
    }),
    labelledGauge("omp_plugin_topic_messages", "Messages that are stored, of the largest topics", "topic", () =>
      byTopic(stored(), "messages"),
    ),
    labelledGauge("omp_plugin_topic_bytes", "Payload bytes that are stored, of the largest topics", "topic", () =>
      byTopic(stored(), "bytes"),
    ),
  ];
}

/** The largest topics, and the rest of the total. */
function byTopic(summary: StoredSummary | undefined, of: keyof StoreTotals): Readonly<Record<string, number>> {
  if (summary === undefined) return {};
  const named = summary.largest.filter(({ topic }) => topic !== OTHERS);
  // What was counted by topic is a little later than the total.
  const rest = named.reduce((left, topic) => left - topic[of], summary[of]);
  return Object.fromEntries([...named.map((topic) => [topic.topic, topic[of]]), [OTHERS, Math.max(0, rest)]]);
}
