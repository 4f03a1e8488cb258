// A histogram in the form in which prom-client's registry writes metrics: one of its own cannot be given what was counted elsewhere.

import type { Metric } from "prom-client";
import type { HistogramDefinition } from "./metric-definition.ts";

interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export function histogramMetric({ name, help, histogram }: HistogramDefinition): Metric {
  const samples = (): Sample[] => {
    let count = 0;
    const buckets = [...histogram.counts].map((of, at) => {
      count += of;
      return { metricName: `${name}_bucket`, labels: { le: histogram.bounds[at] ?? "+Inf" }, value: count };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels: {}, value: histogram.sum },
      { metricName: `${name}_count`, labels: {}, value: count },
    ];
  };
  const metric = { name, help, get: async () => ({ name, help, type: "histogram", values: samples() }) };
  return metric as unknown as Metric;
}
