// Which table and columns an insert template writes, as far as its text tells.

import assert from "node:assert/strict";
import test from "node:test";
import { DEFAULT_TEMPLATES } from "../../src/store/mysql/default-templates.ts";
import { insertTarget } from "../../src/store/mysql/insert-target.ts";
import { parseTemplate } from "../../src/store/mysql/template.ts";

const ROW = "(${id}, ${topic}, ${payload})";

/** The target in short: `column←placeholder`, and in parentheses the placeholders of an expression. */
function targetOf(text: string): { table: string; columns: string | undefined } | undefined {
  const target = insertTarget(parseTemplate("insert_message_sql", text));
  return (
    target && {
      table: target.table,
      columns: target.columns
        ?.map(({ name, placeholders, expression }) => name + (expression ? `(${placeholders})` : `←${placeholders}`))
        .join(" "),
    }
  );
}

const ALL = "a←id b←topic c←payload";

const CASES: readonly (readonly [text: string, table: string, columns: string | undefined])[] = [
  [`insert into t(a, b, c) values ${ROW}`, "t", ALL],
  [`INSERT IGNORE INTO T\n(\n a,\n b,\n c\n)\nVALUES\n${ROW};`, "T", ALL],
  [`replace t (a, b, c) value ${ROW}`, "t", ALL],
  [`insert low_priority ignore into t(a, b, c) values ${ROW}`, "t", ALL],
  [`insert into db.t(a, b, c) values ${ROW} on duplicate key update q = \${qos}`, "db.t", ALL],
  [`insert into \`d b\` . \`t\`(\`a\`, \`b\`, t.c) values ${ROW}`, "`d b`.`t`", ALL],
  [`insert into "d"."t"("a", "b", "c") values ${ROW}`, '"d"."t"', ALL],
  [
    `insert into \`values\`(\`values\`, \`a,\`\`(\`, value) values ${ROW}`,
    "`values`",
    "values←id a,`(←topic value←payload",
  ],
  [`insert /* into u */ into -- u\n t /*(*/ (a, # x\n b, c) values ${ROW}`, "t", ALL],
  [`insert into t partition (p0, p1) (a, b, c) values ${ROW}`, "t", ALL],
  [`insert into t partition (\${qos}) (a, b, c) values ${ROW}`, "t", ALL],
  ["insert into t(a, b, c) values ('${id}', \"${topic}\", ${payload})", "t", ALL],
  ["insert into t(a, b, c) values ('x${id}', ${topic}, ${payload})", "t", "a(id) b←topic c←payload"],
  [
    "insert into t(a, b, c, d) values (f(${id}, ')', (${qos})), ${topic}, ${payload}, '${timestamp}')",
    "t",
    "a(id,qos) b←topic c←payload d←timestamp",
  ],
  ["insert into t(x, a, b, c, y) values (now(), ${id}, ${topic}, ${payload}, '?')", "t", `x() ${ALL} y()`],
  ["insert into t(a, b, c) values ((${id}), -${topic}, ${payload})", "t", "a(id) b(topic) c←payload"],
  [`insert into t values ${ROW}`, "t", undefined],
  [`insert into t() values ${ROW}`, "t", undefined],
  [`insert into t(a, b) values ${ROW}`, "t", undefined],
  [`insert into t(a, b, c) values ${ROW}, ${ROW}`, "t", undefined],
  [`insert into t(a, b, c + 1) values ${ROW}`, "t", undefined],
  ["insert into t set a = ${id}, b = ${topic}, c = ${payload}", "t", undefined],
  ["insert into t(a, b, c) select ${id}, ${topic}, ${payload}", "t", undefined],
  ["insert into t select ${id}, ${topic}, ${payload}", "t", undefined],
];

for (const [text, table, columns] of CASES) {
  test(`target of ${JSON.stringify(text)}`, () => assert.deepEqual(targetOf(text), { table, columns }));
}

for (const text of [
  `call p${ROW}`,
  "update t set a = ${id} + ${topic} + ${payload}",
  `insert into (a) values ${ROW}`,
]) {
  test(`no target: ${JSON.stringify(text)}`, () => assert.equal(targetOf(text), undefined));
}

test("the default's target", () => {
  assert.deepEqual(targetOf(DEFAULT_TEMPLATES.insert_message_sql), {
    table: "mqtt_msg",
    columns: "msgid←id sender←from topic←topic qos←qos retain←flags.retain payload←payload arrived(timestamp)",
  });
  const subscription = insertTarget(
    parseTemplate("insert_subscription_sql", DEFAULT_TEMPLATES.insert_subscription_sql),
  );
  assert.equal(subscription?.table, "mqtt_sub");
  assert.deepEqual(
    subscription?.columns?.map(({ placeholders }) => placeholders),
    [["clientid"], ["topic"], ["qos"]],
  );
});

test("a column is given as it is written, too", () => {
  const target = insertTarget(parseTemplate("insert_message_sql", `insert into t(\`a\`, t . \`b\`, c) values ${ROW}`));
  assert.deepEqual(
    target?.columns?.map(({ name, written }) => [name, written]),
    [
      ["a", "`a`"],
      ["b", "t.`b`"],
      ["c", "c"],
    ],
  );
});
