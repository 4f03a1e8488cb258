// Which insert templates can write several rows with one statement, and what that statement is.

import assert from "node:assert/strict";
import test from "node:test";
import { DEFAULT_TEMPLATES } from "../../src/store/mysql/default-templates.ts";
import { repeatableRows, sqlForRows } from "../../src/store/mysql/multi-row.ts";
import { codeTokens } from "../../src/store/mysql/sql-tokens.ts";
import { parseTemplate, TemplateError } from "../../src/store/mysql/template.ts";
import { seededRandom } from "../mqtt/seed.ts";

/** Has the placeholders that a message needs. */
const ROW = "(${id}, ${topic}, ${payload})";

const rowsOf = (text: string) => repeatableRows(parseTemplate("insert_message_sql", text));

const REPEATABLE: readonly (readonly [what: string, text: string, two: string])[] = [
  ["as usual", `insert into t(a, b, c) values ${ROW}`, "insert into t(a, b, c) values (?, ?, ?), (?, ?, ?)"],
  ["in capitals", `INSERT INTO T (A) VALUES${ROW};`, "INSERT INTO T (A) VALUES(?, ?, ?), (?, ?, ?)"],
  ["with VALUE", `insert t Value ${ROW}`, "insert t Value (?, ?, ?), (?, ?, ?)"],
  ["with IGNORE", `insert ignore into t values ${ROW}`, "insert ignore into t values (?, ?, ?), (?, ?, ?)"],
  ["with REPLACE", `replace low_priority t values ${ROW}`, "replace low_priority t values (?, ?, ?), (?, ?, ?)"],
  ["on several lines", `insert\ninto t\nvalues\n${ROW}\n`, "insert\ninto t\nvalues\n(?, ?, ?), (?, ?, ?)"],
  [
    "with functions",
    "insert into t values (left(concat(${id}, ')'), 3), ((${topic})), ${payload})",
    "insert into t values (left(concat(?, ')'), 3), ((?)), ?), (left(concat(?, ')'), 3), ((?)), ?)",
  ],
  [
    "with a duplicate key",
    `insert into t(a) values ${ROW} on duplicate key update a = values(a), b = ')'`,
    "insert into t(a) values (?, ?, ?), (?, ?, ?) on duplicate key update a = values(a), b = ')'",
  ],
  [
    "with an alias",
    `insert into t values ${ROW} as n on duplicate key update a = n.a`,
    "insert into t values (?, ?, ?), (?, ?, ?) as n on duplicate key update a = n.a",
  ],
  [
    "with RETURNING",
    `insert into t values ${ROW} returning id`,
    "insert into t values (?, ?, ?), (?, ?, ?) returning id",
  ],
  [
    "with comments",
    "insert into t -- values (\n/* values ( */ values # (\n (${id}, ${topic} /* ) */, ${payload}) -- ,\n on duplicate key update a = 1",
    "insert into t -- values (\n/* values ( */ values # (\n (?, ? /* ) */, ?), (?, ? /* ) */, ?) -- ,\n on duplicate key update a = 1",
  ],
  [
    "into a table `values`",
    `insert into \`values\`(a) values ${ROW}`,
    "insert into `values`(a) values (?, ?, ?), (?, ?, ?)",
  ],
  [
    "into a column `values`",
    `insert into t(\`values\`, \`(\`) values ${ROW}`,
    "insert into t(`values`, `(`) values (?, ?, ?), (?, ?, ?)",
  ],
  ["into a table value", `insert into value(a) value ${ROW}`, "insert into value(a) value (?, ?, ?), (?, ?, ?)"],
  [
    "into a table db.values",
    `insert into db.values values ${ROW}`,
    "insert into db.values values (?, ?, ?), (?, ?, ?)",
  ],
  [
    "into ANSI names",
    `insert into "d"."t"("values") values ${ROW}`,
    'insert into "d"."t"("values") values (?, ?, ?), (?, ?, ?)',
  ],
  [
    "into a partition",
    `insert into t partition (p0) (a) values ${ROW}`,
    "insert into t partition (p0) (a) values (?, ?, ?), (?, ?, ?)",
  ],
  [
    "with ? in texts",
    "insert into t values ('?', ${id}, '?${topic}', ${payload})",
    "insert into t values ('?', ?, CONCAT('?', ?), ?), ('?', ?, CONCAT('?', ?), ?)",
  ],
];

for (const [what, text, two] of REPEATABLE) {
  test(`can be repeated: ${what}`, () => {
    const rows = rowsOf(text);
    assert.ok(rows);
    assert.equal(sqlForRows(rows, 2), two);
    assert.equal(sqlForRows(rows, 1), parseTemplate("insert_message_sql", text).sql);
    assert.equal(rows.parametersPerRow, 3);
    assert.equal(rows.maxRows, 21_845);
  });
}

const ONE_BY_ONE: readonly (readonly [what: string, text: string])[] = [
  ["several groups", `insert into t values ${ROW}, (1, 2, 3)`],
  ["SELECT", "insert into t select ${id}, ${topic}, ${payload}"],
  ["SELECT in parentheses", "insert into t (select ${id}, ${topic}, ${payload})"],
  ["SELECT after columns", "insert into t(a, b, c) select ${id}, ${topic}, ${payload} from d"],
  ["SET", "insert into t set a = ${id}, b = ${topic}, c = ${payload}"],
  ["ROW", "insert into t values row(${id}, ${topic}, ${payload})"],
  ["a placeholder after", `insert into t values ${ROW} on duplicate key update qos = \${qos}`],
  ["a placeholder in quotes after", `insert into t values ${ROW} on duplicate key update qos = '\${qos}'`],
  ["a placeholder before", `insert into t partition(\${qos}) values ${ROW}`],
  ["a query for a value", "insert into t values (${id}, ${topic}, (select max(a) from u where b = ${payload}))"],
  ["LAST_INSERT_ID", "insert into t values (${id}, ${topic}, ${payload}, Last_Insert_Id())"],
  ["something that goes on", `insert into t values ${ROW} + 1`],
  ["UNION", `insert into t values ${ROW} union select 1, 2, 3`],
  ["no group", "insert into t values ${id}, ${topic}, ${payload}"],
  ["no end", "insert into t values (${id}, ${topic}, ${payload}"],
  ["another statement", `call p${ROW}`],
  ["UPDATE", "update t set a = ${id}, b = ${topic}, c = ${payload}"],
  ["a table that is missing", `insert into (a) values ${ROW}`],
];

for (const [what, text] of ONE_BY_ONE) {
  test(`cannot be repeated: ${what}`, () => assert.equal(rowsOf(text), undefined));
}

test("the default for messages can be repeated, the one for subscriptions cannot", () => {
  const rows = rowsOf(DEFAULT_TEMPLATES.insert_message_sql);
  assert.equal(rows?.row, "(?, ?, ?, ?, ?, ?, FROM_UNIXTIME(?/1000))");
  assert.equal(rows?.after, "");
  const subscription = parseTemplate("insert_subscription_sql", DEFAULT_TEMPLATES.insert_subscription_sql);
  assert.equal(repeatableRows(subscription), undefined);
});

test("no rows make no statement", () => {
  const rows = rowsOf(`insert into t values ${ROW}`);
  assert.ok(rows);
  assert.throws(() => sqlForRows(rows, 0), RangeError);
});

const PIECES = [
  ..."insert,replace,into,ignore,t,values,value,select,on duplicate key update a = 1,`values`,'('".split(","),
  ..."(),; \n'`?#",
  "/* ( */",
  "-- )\n",
  "values (${id}, ${topic}, f(${payload}))",
  "insert into t(a) values ",
  ROW,
  "(${qos})",
];

test("whatever can be repeated has as many parameters per row as the template", () => {
  const random = seededRandom("rows of SQL templates");
  let repeatable = 0;
  for (let round = 0; round < 20_000; round++) {
    const pieces = Array.from({ length: random.below(8) }, () => random.pick(PIECES));
    if (random.chance(0.7)) pieces.unshift("insert into t ");
    if (random.chance(0.5)) pieces.push(" values ", ROW);
    try {
      const template = parseTemplate("insert_message_sql", pieces.join(" "));
      const rows = repeatableRows(template);
      if (!rows) continue;
      repeatable++;
      assert.equal(rows.before + rows.row + rows.after, template.sql);
      const found = codeTokens(sqlForRows(rows, 3)).filter(({ kind }) => kind === "parameter").length;
      assert.equal(found, 3 * template.parameters.length, template.sql);
    } catch (error) {
      assert.ok(error instanceof TemplateError, `${JSON.stringify(pieces.join(" "))}: ${error}`);
    }
  }
  assert.ok(repeatable > 100, `${repeatable} of them can be repeated`);
});
