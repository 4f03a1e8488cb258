// SQL templates: where placeholders are found, what becomes of them, and which templates are refused.

import assert from "node:assert/strict";
import test from "node:test";
import { defaultPluginConfig } from "../../src/plugin/config.ts";
import { DEFAULT_TEMPLATES, isDefaultTemplate } from "../../src/store/mysql/default-templates.ts";
import { PLACEHOLDER_RULES } from "../../src/store/mysql/placeholders.ts";
import { codeTokens, sqlTokens } from "../../src/store/mysql/sql-tokens.ts";
import { parseTemplate, TemplateError, type TemplateName } from "../../src/store/mysql/template.ts";
import { seededRandom } from "../mqtt/seed.ts";

const NAMES = Object.keys(PLACEHOLDER_RULES) as TemplateName[];

/** Of `delete_subscription_sql`, which needs `${clientid}` and `${topic}`: the text, the SQL, the parameters. */
const ACCEPTED: readonly (readonly [what: string, text: string, sql: string, parameters: string])[] = [
  ["bare", "delete from s where c = ${clientid} and t=${topic}", "delete from s where c = ? and t=?", "clientid topic"],
  ["twice", "f(${topic},${clientid},${topic})", "f(?,?,?)", "topic clientid topic"],
  ["in quotes", "f('${topic}', \"${clientid}\")", "f(?, ?)", "topic clientid"],
  ["at the end of a text", "f('a/${topic}', ${clientid})", "f(CONCAT('a/', ?), ?)", "topic clientid"],
  ["at the start of a text", 'f("${topic}/a", ${clientid})', 'f(CONCAT(?, "/a"), ?)', "topic clientid"],
  ["in a text", "f('%${topic}%', ${clientid})", "f(CONCAT('%', ?, '%'), ?)", "topic clientid"],
  ["two in a text", "f('${clientid}/${topic}')", "f(CONCAT(?, '/', ?))", "clientid topic"],
  ["side by side in a text", "f('${clientid}${topic}')", "f(CONCAT(?, ?))", "clientid topic"],
  ["doubled quotes", "f('a''${topic}''', ${clientid})", "f(CONCAT('a''', ?, ''''), ?)", "topic clientid"],
  ["other quotes", `f('"\${topic}"', \${clientid})`, `f(CONCAT('"', ?, '"'), ?)`, "topic clientid"],
  ["escaped quotes", "f('\\'${topic}\\'', ${clientid})", "f(CONCAT('\\'', ?, '\\''), ?)", "topic clientid"],
  ["after a backslash", "f('\\\\${topic}', ${clientid})", "f(CONCAT('\\\\', ?), ?)", "topic clientid"],
  ["escaped", "f('\\${topic}', ${topic}, ${clientid})", "f('\\${topic}', ?, ?)", "topic clientid"],
  ["escaped beside one", "f('\\${a}${topic}', ${clientid})", "f(CONCAT('\\${a}', ?), ?)", "topic clientid"],
  ["a line end in a text", "f('a\n${topic}', ${clientid})", "f(CONCAT('a\n', ?), ?)", "topic clientid"],
  [
    "look-alikes",
    "f('$', '{topic}', '$ {topic}', '}', ${topic}, $1, ${clientid})",
    "f('$', '{topic}', '$ {topic}', '}', ?, $1, ?)",
    "topic clientid",
  ],
  ["? in a text", "f('?', 'a?${topic}', \"?\", ${clientid})", "f('?', CONCAT('a?', ?), \"?\", ?)", "topic clientid"],
  ["? in a name", "f(`?`, ${topic}, ${clientid})", "f(`?`, ?, ?)", "topic clientid"],
  ["? in comments", "f(${topic} /*?*/, -- ?\n ${clientid})", "f(? /*?*/, -- ?\n ?)", "topic clientid"],
  ["a quote in a name", "f(`'`, ${topic}, `a``'`, ${clientid})", "f(`'`, ?, `a``'`, ?)", "topic clientid"],
  ["a quote in comments", "f(${topic} /*'*/, # '\n${clientid})", "f(? /*'*/, # '\n?)", "topic clientid"],
  [
    "comment marks in a text",
    "f('--', '/*', '# ${topic}', ${clientid})",
    "f('--', '/*', CONCAT('# ', ?), ?)",
    "topic clientid",
  ],
  [
    "in comments",
    "f(${topic}, # ${a}\n/*${a}*/ -- ${a}\n${clientid})",
    "f(?, #     \n/*    */ --     \n?)",
    "topic clientid",
  ],
  ["two dashes, no comment", "f(5--${topic}, ${clientid})", "f(5--?, ?)", "topic clientid"],
  ["a hint", "delete /*+ x(s) */ from s ${topic} ${clientid}", "delete /*+ x(s) */ from s ? ?", "topic clientid"],
  ["before a word", "t='${topic}'and c=${clientid}or 0", "t=? and c=? or 0", "topic clientid"],
  ["after a word", "select'${topic}',x like'%${clientid}'", "select?,x like CONCAT('%', ?)", "topic clientid"],
  ["a ; at the end", " f(${topic}, ${clientid}) ; \n", "f(?, ?)", "topic clientid"],
  ["many ; at the end", "f(${topic}, ${clientid});;\n;", "f(?, ?)", "topic clientid"],
  ["comments at the end", "f(${topic}, ${clientid}); -- ${a}; b\n/* c */ # d", "f(?, ?)", "topic clientid"],
  ["a comment at the end, without ;", "f(${topic}, ${clientid}) --", "f(?, ?)", "topic clientid"],
  ["; in texts and comments", "f(';', /*;*/ `;`, ${topic}, ${clientid})", "f(';', /*;*/ `;`, ?, ?)", "topic clientid"],
  ["CR LF", "f(${topic}, -- a\r\n${clientid})\r\n", "f(?, -- a\r\n?)", "topic clientid"],
  ["other scripts", "f('é😀${topic}', é, ${clientid})", "f(CONCAT('é😀', ?), é, ?)", "topic clientid"],
];

for (const [what, text, sql, parameters] of ACCEPTED) {
  test(`placeholders ${what}`, () => {
    const template = parseTemplate("delete_subscription_sql", text);
    assert.equal(template.sql, sql);
    assert.deepEqual(template.parameters, parameters.split(" "));
    assert.equal(template.name, "delete_subscription_sql");
  });
}

const REFUSED: readonly (readonly [name: TemplateName, text: string, message: RegExp])[] = [
  ["insert_message_sql", "", /is empty/],
  ["insert_message_sql", " \n\t", /is empty/],
  ["insert_message_sql", "-- ${id} ${topic} ${payload}", /is empty/],
  ["insert_message_sql", ";", /is empty/],
  [
    "delete_message_sql",
    "f(${id}, ${nonsense})",
    /unknown placeholder \$\{nonsense\}: it may have \$\{id\} and \$\{topic\}$/,
  ],
  ["delete_message_sql", "f(${id}, '${nonsense}')", /unknown placeholder \$\{nonsense\}/],
  ["delete_message_sql", "f(${id}, ${payload})", /unknown placeholder \$\{payload\}/],
  ["delete_message_sql", "f(${ID})", /unknown placeholder \$\{ID\}/],
  ["delete_message_sql", "f(${ id })", /unknown placeholder \$\{ id \}/],
  ["delete_message_sql", "f(${})", /unknown placeholder \$\{\}/],
  ["select_message_sql", "f(${topic}, ${clientid})", /unknown placeholder \$\{clientid\}: it may have \$\{topic\}$/],
  ["select_topics_sql", "select t from m where t = ${topic}", /\$\{topic\}: this statement has no placeholders$/],
  ["insert_message_sql", "f(${id}, ${payload})", /lacks \$\{topic\}: /],
  ["insert_message_sql", "f(${topic})", /lacks \$\{id\} and \$\{payload\}: /],
  ["insert_message_sql", "f()", /lacks \$\{id\}, \$\{topic\} and \$\{payload\}: /],
  ["delete_message_sql", "f(${topic} /* ${id} */, '\\${id}')", /lacks \$\{id\}: /],
  ["select_message_sql", "select 1", /lacks \$\{topic\}: /],
  ["insert_subscription_sql", "f(${clientid}, ${qos})", /lacks \$\{topic\}: /],
  ["select_subscriptions_sql", "select 1", /lacks \$\{clientid\}: /],
  ["delete_subscription_sql", "f(${topic})", /lacks \$\{clientid\}: /],
  ["delete_message_sql", "f(${id}, ?)", /has a \? outside of quotes.* write a placeholder/],
  ["delete_message_sql", "f(${id}, 'a)", /has a ' without its end, at "'a\)": add the '$/],
  ["delete_message_sql", "f(${id}, 'a\\')", /has a ' without its end/],
  ["delete_message_sql", 'f(${id}, "a)', /has a " without its end/],
  ["delete_message_sql", "f(${id}, `a)", /has a ` without its end/],
  ["delete_message_sql", "f(${id}) /* a", /has a \/\* without its end.*add the \*\/$/],
  ["delete_message_sql", "f(${id}) /*/", /has a \/\* without its end/],
  ["delete_message_sql", "f(${id)", /has a \$\{ without its end.*add the \}$/],
  ["delete_message_sql", "f(${id}, '${id')", /has a \$\{ without its end/],
  ["delete_message_sql", "f(${id, ${topic})", /has a \$\{ without its end/],
  ["delete_message_sql", "f(${id}, '${')", /has a \$\{ without its end/],
  ["delete_message_sql", "f(${id}); drop table t", /more than one statement/],
  ["delete_message_sql", "; f(${id})", /more than one statement/],
  ["delete_message_sql", "f(${id});#\nf(${id});", /more than one statement/],
  ["delete_message_sql", "delete from `${topic}` where ${id}", /placeholder in the name `\$\{topic\}`/],
  ["delete_message_sql", "delete from `a${b` where ${id}", /placeholder in the name/],
  ["delete_message_sql", "f(${id} /*!50000 , ? */)", /comment that the server executes/],
  ["delete_message_sql", "f(${id}) /*M!100000 ; f() */", /comment that the server executes/],
];

for (const [name, text, message] of REFUSED) {
  test(`refused: ${name} = ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => parseTemplate(name, text),
      (error) => {
        assert.ok(error instanceof TemplateError, String(error));
        assert.equal(error.code, "STORE_TEMPLATE_INVALID");
        assert.equal(error.template, name);
        assert.ok(error.message.startsWith(`mysql.${name} `), error.message);
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

test("every template may have all its placeholders", () => {
  for (const [name, { required, optional }] of Object.entries(PLACEHOLDER_RULES)) {
    const placeholders = [...required, ...optional];
    const text = `f(${placeholders.map((placeholder) => `\${${placeholder}}`).join(", ")})`;
    assert.deepEqual(parseTemplate(name as TemplateName, text).parameters, placeholders);
  }
});

test("the defaults are those of the plugin's configuration, and can be used", () => {
  const { select_topics_sql, ...defaults } = DEFAULT_TEMPLATES;
  assert.equal(select_topics_sql, "");
  for (const [name, text] of Object.entries(defaults) as [keyof typeof defaults, string][]) {
    assert.equal(text, defaultPluginConfig.mysql[name], name);
    assert.ok(isDefaultTemplate(name, text), name);
    assert.ok(parseTemplate(name, text).parameters.length > 0, name);
  }
});

const DELETE = "delete_message_sql";
const SAME: readonly string[] = [
  "delete from mqtt_msg where msgid = ${id}",
  "DELETE FROM mqtt_msg\n  WHERE msgid=${id};",
  "\tDelete  From\r\nmqtt_msg where msgid = ${id} ; ",
];
const OTHER: readonly string[] = [
  "",
  "delete from mqtt_msg where msgid = ${topic}",
  "delete from mqtt_msg where msgid = '${id}'",
  "delete from MQTT_MSG where msgid = ${id}",
  "delete from mqtt_msg where msgid = ${ID}",
  "delete from `mqtt_msg` where msgid = ${id}",
  "delete from mqtt_msg where msgid = ${id} limit 1",
  "delete from mqtt_msg where msgid = ${id} -- and more",
  "delete from mqtt_msg where msgid = ${id};;",
  "deletefrom mqtt_msg where msgid = ${id}",
  "delete from mqtt_msg where msgid = ${id",
];

test("a default is known again by its words", () => {
  for (const text of SAME) assert.ok(isDefaultTemplate(DELETE, text), text);
  for (const text of OTHER) assert.ok(!isDefaultTemplate(DELETE, text), text);
  const insert = DEFAULT_TEMPLATES.insert_message_sql;
  assert.ok(isDefaultTemplate("insert_message_sql", insert.replace("FROM_UNIXTIME", "from_unixtime")));
  assert.ok(!isDefaultTemplate("insert_message_sql", insert.replace("sender", "Sender")));
  assert.ok(!isDefaultTemplate("insert_message_sql", DEFAULT_TEMPLATES.delete_message_sql));
  assert.ok(isDefaultTemplate("select_topics_sql", " "));
  assert.ok(!isDefaultTemplate("select_topics_sql", "select topic from mqtt_msg"));
});

/** Glued together at random, most make no sense, and many have no end. */
const PIECES = [
  ..."'\"`?;#$\\{},()/*-! \n.a",
  ..."'' \"\" `` -- /* */ /*! /*M! */ \\' \\\\ ${ $${ }} ;\n".split(" "),
  ..."${id} ${topic} ${payload} ${from} ${clientid} ${nonsense} '${id}' '${topic}' 'a${payload}b'".split(" "),
  ..."insert into values on select `t` 'text' /*c*/ é 😀 \u0000 \u00a0".split(" "),
  "-- c\n",
  "# c\n",
];

test("whatever is glued together is refused by name, or has as many ? as parameters", () => {
  const random = seededRandom("SQL templates");
  let accepted = 0;
  for (let round = 0; round < 30_000; round++) {
    const pieces = Array.from({ length: random.below(14) }, () => random.pick(PIECES));
    // Half of them have what they need, so that not all are refused for that.
    if (random.chance(0.5))
      pieces.splice(random.below(pieces.length + 1), 0, " ${id} ${topic} ${payload} ${clientid} ");
    const text = pieces.join("");
    assert.equal(
      sqlTokens(text)
        .map((token) => token.text)
        .join(""),
      text,
    );
    const name = random.pick(NAMES);
    isDefaultTemplate(name, text);
    try {
      const { sql, parameters } = parseTemplate(
        name,
        text.replace(name.includes("subs") ? "${id}" : "${clientid}", ""),
      );
      const found = codeTokens(sql).filter(({ kind }) => kind === "parameter").length;
      assert.equal(found, parameters.length, `${JSON.stringify(text)} became ${JSON.stringify(sql)}`);
      assert.doesNotMatch(sql, /^[ \n]|[; \n]$/);
      accepted++;
    } catch (error) {
      assert.ok(error instanceof TemplateError, `${JSON.stringify(text)}: ${error}`);
    }
  }
  assert.ok(accepted > 100, `${accepted} of them can be used`);
});

test("a long template takes no long time", () => {
  for (const text of [
    "'".repeat(200_001),
    "${".repeat(100_000),
    "/*".repeat(100_000),
    "-".repeat(200_000),
    "\\".repeat(200_000),
  ]) {
    assert.throws(() => parseTemplate("delete_message_sql", `'${text}`), TemplateError);
    assert.throws(() => parseTemplate("delete_message_sql", text), TemplateError);
  }
});
