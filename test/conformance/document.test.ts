// Keeps docs/mqtt-conformance.md and the conformance suite in step.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { chapters } from "./chapters.ts";
import { shownBy } from "./shown-by.ts";

const STATEMENT = /MQTT-\d+\.\d+\.\d+-\d+/g;
/** What a row says that no case shows. */
const WITHOUT_CASE = /^no test: .+/;

const text = readFileSync(new URL("../../docs/mqtt-conformance.md", import.meta.url), "utf8");

interface Row {
  readonly statements: readonly string[];
  readonly shown: string;
}

function rowsOf(heading: string): Row[] {
  const [, section = ""] = text.split(`\n## ${heading}\n`);
  const [table = ""] = section.split("\n## ");
  return table.split("\n").flatMap((line) => {
    if (!line.startsWith("| MQTT-")) return [];
    const [, numbers = "", , shown = ""] = line.split(" | ").join("|").split("|");
    return [{ statements: numbers.match(STATEMENT) ?? [], shown: shown.trim() }];
  });
}

for (const [heading, standard] of [
  ["MQTT 3.1.1", "v4"],
  ["MQTT 5.0", "v5"],
] as const) {
  test(`${heading}: every statement that a case names stands in the page with that case, and no other`, () => {
    const expected = shownBy(chapters, standard);
    const rows = rowsOf(heading);
    const statements = rows.flatMap((row) => row.statements);
    assert.equal(new Set(statements).size, statements.length, "a statement is there twice");
    for (const { statements: numbers, shown } of rows) {
      for (const number of numbers) {
        const cell = expected.get(number.slice("MQTT-".length));
        expected.delete(number.slice("MQTT-".length));
        if (cell !== undefined) assert.equal(shown, cell, number);
        else assert.match(shown, WITHOUT_CASE, number);
      }
    }
    assert.deepEqual([...expected.keys()], [], "statements that the page does not have");
  });
}

test("MQTT 3.1: every case that does not run for it stands in the page, with the reason", () => {
  const [, section = ""] = text.split("\n## MQTT 3.1\n");
  const [table = ""] = section.split("\n## ");
  const expected = [...chapters].flatMap(([chapter, cases]) =>
    cases.flatMap(({ title, not31 }) => (not31 === undefined ? [] : [`| ${chapter}: ${title} | ${not31} |`])),
  );
  assert.ok(expected.length > 0);
  assert.deepEqual(
    table.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| case ")),
    expected,
  );
});

test("no two cases of a chapter have the same title, and each names statements", () => {
  for (const [chapter, cases] of chapters) {
    const titles = cases.map(({ title }) => title);
    assert.equal(new Set(titles).size, titles.length, chapter);
    for (const { title, v4, v5 } of cases) {
      assert.ok((v4?.length ?? 0) + (v5?.length ?? 0) > 0, title);
      assert.ok(!title.includes("|"), title);
    }
  }
});
