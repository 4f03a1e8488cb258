// What a metric is, before it is made for Prometheus: a name, what it means, and how its value is read.

import type { Histogram } from "../plugin/histogram.ts";

export interface MetricDefinition {
  readonly name: string;
  readonly kind: "counter" | "gauge";
  /** A phrase, as in docs/metrics.md. */
  readonly help: string;
  /** The name of its label; absent: none, and `read` gives a number. */
  readonly label?: string;
  /** The value now; with a label, one for each of the label's values. Undefined: it is not known. */
  read(): number | Readonly<Record<string, number>> | undefined;
}

export interface HistogramDefinition {
  readonly name: string;
  readonly kind: "histogram";
  readonly help: string;
  readonly histogram: Histogram;
}

export type AnyMetric = MetricDefinition | HistogramDefinition;

export function counter(name: string, help: string, read: () => number): MetricDefinition {
  return { name, kind: "counter", help, read };
}

export function gauge(name: string, help: string, read: () => number | undefined): MetricDefinition {
  return { name, kind: "gauge", help, read };
}

/** A counter for each value of a label. */
export function labelled(
  name: string,
  help: string,
  label: string,
  read: () => Readonly<Record<string, number>>,
): MetricDefinition {
  return { name, kind: "counter", help, label, read };
}

/** A gauge for each value of a label. */
export function labelledGauge(
  name: string,
  help: string,
  label: string,
  read: () => Readonly<Record<string, number>>,
): MetricDefinition {
  return { name, kind: "gauge", help, label, read };
}

export function histogram(name: string, help: string, values: Histogram): HistogramDefinition {
  return { name, kind: "histogram", help, histogram: values };
}
