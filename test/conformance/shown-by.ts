// What docs/mqtt-conformance.md says of how a statement is shown.

import type { ConformanceCase } from "./conformance-case.ts";

/** The last cell of the table for each statement of one standard: `chapter: title` of each case that names it. */
export function shownBy(
  chapters: ReadonlyMap<string, readonly ConformanceCase[]>,
  standard: "v4" | "v5",
): Map<string, string> {
  const cells = new Map<string, string>();
  for (const [chapter, cases] of chapters) {
    for (const one of cases) {
      for (const statement of one[standard] ?? []) {
        const before = cells.get(statement);
        const line = `${chapter}: ${one.title}`;
        cells.set(statement, before === undefined ? line : `${before}<br>${line}`);
      }
    }
  }
  return cells;
}
