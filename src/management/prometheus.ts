// All metrics in Prometheus's text format. Values are read when they are asked for.

import { Counter, Gauge, Registry } from "prom-client";
import type { Broker } from "../broker/broker.ts";
import type { OfflineMessagePlugin } from "../plugin/offline-message-plugin.ts";
import { brokerMetrics } from "./broker-metrics.ts";
import { histogramMetric } from "./histogram-metric.ts";
import type { AnyMetric } from "./metric-definition.ts";
import { pluginMetrics } from "./plugin-metrics.ts";
import { ProcessMetrics } from "./process-metrics.ts";

/** EMQX's path. */
export const METRICS_PATH = "/api/v5/prometheus/stats";

export type PluginMetrics = Pick<OfflineMessagePlugin, "counters" | "memory"> & {
  readonly stored: Pick<OfflineMessagePlugin["stored"], "latest" | "refresh">;
};

export interface MetricSources {
  readonly broker: Pick<Broker, "metrics">;
}

export class PrometheusMetrics {
  readonly #registry = new Registry();
  readonly #process = new ProcessMetrics();
  readonly #broker: MetricSources["broker"];

  #plugin: PluginMetrics | undefined;
  /** Names of the plugin's metrics, while one runs. */
  #ofPlugin: readonly string[] = [];

  constructor({ broker }: MetricSources) {
    this.#broker = broker;
    for (const definition of [...brokerMetrics(broker.metrics), ...this.#process.definitions]) this.#add(definition);
  }

  /** The plugin that runs; its counters begin at 0. */
  set plugin(plugin: PluginMetrics | undefined) {
    this.#plugin = plugin;
    for (const name of this.#ofPlugin) this.#registry.removeSingleMetric(name);
    const definitions = plugin === undefined ? [] : pluginMetrics(plugin);
    for (const definition of definitions) this.#add(definition);
    this.#ofPlugin = definitions.map(({ name }) => name);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Begins to measure what is measured over time. */
  start(): void {
    this.#process.start();
  }

  stop(): void {
    this.#process.stop();
  }

  async text(): Promise<string> {
    await this.#plugin?.stored.refresh();
    this.#broker.metrics.noteHighest();
    return this.#registry.metrics();
  }

  #add(definition: AnyMetric): void {
    if (definition.kind === "histogram") {
      this.#registry.registerMetric(histogramMetric(definition));
      return;
    }
    const { name, kind, help, label, read } = definition;
    const common = { name, help, registers: [this.#registry], labelNames: label === undefined ? [] : [label] };
    const set = (metric: Counter | Gauge): void => {
      const value = read();
      // A counter of prom-client can only be raised: from 0, to what was counted elsewhere.
      metric.reset();
      if (value === undefined) metric.remove();
      else if (typeof value === "number") metric.inc(value);
      else for (const [name, of] of Object.entries(value)) metric.inc({ [label as string]: name }, of);
    };
    if (kind === "counter") {
      new Counter({
        ...common,
        collect() {
          set(this);
        },
      });
    } else {
      new Gauge({
        ...common,
        collect() {
          set(this);
        },
      });
    }
  }
}
