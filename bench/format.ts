// Numbers and tables as texts.

import type { Row } from "./scenario.ts";

const HEADINGS: Required<Row> = {
  scenario: "scenario",
  figure: "figure",
  measured: "measured",
  store: "raw store",
  alone: "without plugin",
  mosquitto: "mosquitto",
  ratio: "ratio",
  reach: "reach",
};
const COLUMNS = Object.keys(HEADINGS) as (keyof Row)[];
/** The first columns hold words, the others numbers. */
const WORDS = new Set<keyof Row>(["scenario", "figure", "reach"]);

/** For a number that does not exist. */
const NONE = "–";

export function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

export function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
}

export function bytes(value: number): string {
  return value < 10_000 ? `${whole(value)} B` : `${(value / 1024).toFixed(1)} KiB`;
}

export function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

export function plainTable(rows: readonly Row[]): string {
  const lines = [HEADINGS, ...rows].map(texts);
  const widths = COLUMNS.map((_, at) => Math.max(...lines.map((cells) => (cells[at] ?? "").length)));
  const pad = (cell: string, at: number): string => {
    const width = widths[at] ?? 0;
    return WORDS.has(COLUMNS[at] as keyof Row) ? cell.padEnd(width) : cell.padStart(width);
  };
  return lines.map((cells) => cells.map(pad).join("  ").trimEnd()).join("\n");
}

export function markdownTable(rows: readonly Row[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const separators = COLUMNS.map((column) => (WORDS.has(column) ? "---" : "---:"));
  return [line(texts(HEADINGS)), `|${separators.join("|")}|`, ...rows.map((row) => line(texts(row)))].join("\n");
}

function texts(row: Row): string[] {
  return COLUMNS.map((column) => row[column] ?? (WORDS.has(column) ? "" : NONE));
}
