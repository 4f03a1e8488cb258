// How the Erlang sources look: a first line that states the duty, no tabs, no blanks at the end, lines and files that one can read.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import test from "node:test";
import { ROOT } from "../../tools/release/bundle.ts";

const MAX_COLUMNS = 120;
const MAX_LINES = 400;

test("the Erlang sources are formatted like each other", () => {
  const files = globSync(["erlang/src/*.{erl,hrl}", "test/erlang/stand-ins/*.erl", "bench/erlang/*.erl"], {
    cwd: ROOT,
  }).sort();
  assert.ok(files.length > 25, `${files.length} files`);
  const problems = files.flatMap((file) => {
    const lines = readFileSync(`${ROOT}/${file}`, "utf8").split("\n");
    const own: string[] = [];
    if (!/^%% \S/.test(lines[0] ?? "")) own.push(`${file}: the first line does not state its duty`);
    if (lines.length > MAX_LINES) own.push(`${file}: ${lines.length} lines`);
    if (lines.at(-1) !== "" || lines.at(-2) === "") own.push(`${file}: does not end with one newline`);
    for (const [i, line] of lines.entries()) {
      if (/\t|\s$/.test(line)) own.push(`${file}:${i + 1}: a tab, or blanks at the end`);
      if (line.length > MAX_COLUMNS) own.push(`${file}:${i + 1}: ${line.length} columns`);
      if (!/^\s*%/.test(line) && (line.match(/^ */)?.[0].length ?? 0) % 4 === 2)
        own.push(`${file}:${i + 1}: indented by 2`);
    }
    return own;
  });
  assert.deepEqual(problems, []);
});
