// The HOCON writer: what it writes reads back as it was.

import assert from "node:assert/strict";
import test from "node:test";
import { parseHocon } from "../../src/hocon/parse.ts";
import { writeHocon } from "../../src/hocon/write.ts";

const values: readonly Record<string, unknown>[] = [
  {},
  { a: 1, b: -1.5e-7, c: true, d: null, e: "" },
  { text: 'say "hi" \\ ${topic} # // \n\t\u0001 é 😀 \u2028' },
  { "a.b": 1, "with space": { "": {} }, __proto: 1, "#": "x" },
  { sqlite: { enable: true, topics: ["#", "a/+"], empty: [] } },
  { nested: [[1, [2]], [{ a: [{ b: "c" }] }]] },
];

for (const value of values) {
  test(`writes ${JSON.stringify(value)}`, () => {
    assert.deepEqual(parseHocon(writeHocon(value)).value, value);
  });
}

test("leaves out what is undefined", () => {
  assert.equal(writeHocon({ a: undefined, b: 1 }), "b = 1\n");
});

test("puts one key on a line", () => {
  assert.equal(
    writeHocon({ delivery: "one_to_one", sqlite: { enable: true, topics: ["#"] } }),
    'delivery = "one_to_one"\nsqlite {\n  enable = true\n  topics = ["#"]\n}\n',
  );
});
