// Every metric that there can be, by the part of docs/metrics.md that lists it.

import { Metrics } from "../../src/broker/metrics.ts";
import { brokerMetrics } from "../../src/management/broker-metrics.ts";
import type { AnyMetric } from "../../src/management/metric-definition.ts";
import { pluginMetrics } from "../../src/management/plugin-metrics.ts";
import { ProcessMetrics } from "../../src/management/process-metrics.ts";
import { Counters } from "../../src/plugin/counters.ts";

export function allMetrics(): Record<"broker" | "plugin" | "process", readonly AnyMetric[]> {
  const memory = { claims: 0, owed: 0, removals: 0, unrouted: 0, replays: 0 };
  return {
    broker: brokerMetrics(new Metrics()),
    plugin: pluginMetrics({ counters: new Counters(), memory, stored: { latest: undefined } }),
    process: new ProcessMetrics().definitions,
  };
}
