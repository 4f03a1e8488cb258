// Rows of the table from numbers.

import { percent } from "./format.ts";
import type { Row } from "./scenario.ts";

/** By column; what is absent is not measured. */
export interface Figures {
  readonly measured?: number;
  readonly store?: number;
  readonly alone?: number;
  readonly mosquitto?: number;
}

/** `format` writes the numbers; `judgement` holds the last columns. */
export function figureRow(
  scenario: string,
  figure: string,
  format: (value: number) => string,
  { measured, store, alone, mosquitto }: Figures,
  judgement: Pick<Row, "ratio" | "reach"> = {},
): Row {
  const cell = (value: number | undefined): string | undefined => (value === undefined ? undefined : format(value));
  return {
    scenario,
    figure,
    measured: cell(measured),
    store: cell(store),
    alone: cell(alone),
    mosquitto: cell(mosquitto),
    ...judgement,
  };
}

/** A ratio, and whether it is at least the part that is aimed at. */
export function atLeast(ratio: number, aim: number): Pick<Row, "ratio" | "reach"> {
  return { ratio: percent(ratio), reach: `≥ ${percent(aim)}: ${ratio >= aim ? "yes" : "no"}` };
}
