// The templates that are used when the configuration says nothing, and whether a text is one of them.

import type { TemplateName } from "./placeholders.ts";
import { isMark, sqlTokens } from "./sql-tokens.ts";

/**
 * The defaults of EMQX's plugin. src/plugin/config.ts has the same texts, since the two folders may not import each other,
 * and a test compares them. `select_topics_sql` is none by default: the topics come from the table of the insert template.
 */
export const DEFAULT_TEMPLATES: Readonly<Record<TemplateName, string>> = {
  insert_message_sql:
    "insert into mqtt_msg(msgid, sender, topic, qos, retain, payload, arrived) " +
    "values(${id}, ${from}, ${topic}, ${qos}, ${flags.retain}, ${payload}, FROM_UNIXTIME(${timestamp}/1000))",
  delete_message_sql: "delete from mqtt_msg where msgid = ${id}",
  select_message_sql: "select * from mqtt_msg where topic = ${topic}",
  insert_subscription_sql:
    "insert into mqtt_sub(clientid, topic, qos) values(${clientid}, ${topic}, ${qos}) on duplicate key update qos = ${qos}",
  select_subscriptions_sql: "select topic, qos from mqtt_sub where clientid = ${clientid}",
  delete_subscription_sql: "delete from mqtt_sub where clientid = ${clientid} and topic = ${topic}",
  select_topics_sql: "",
};

/** The words of the defaults whose case is of no matter. That of a table's name is, on most servers. */
const KEYWORDS = new Set(
  "insert into values from_unixtime delete from where select on duplicate key update and".split(" "),
);

/**
 * Whether a text is the default of this template, but for white space, the case of keywords and a `;` at the end. A text
 * with comments or with quotes around placeholders is not, though it may mean the same. Throws nothing, whatever the text.
 */
export function isDefaultTemplate(name: TemplateName, text: string): boolean {
  const given = comparable(text);
  const wanted = comparable(DEFAULT_TEMPLATES[name]);
  return given.length === wanted.length && given.every((word, index) => word === wanted[index]);
}

function comparable(text: string): string[] {
  const tokens = sqlTokens(text).filter(({ kind }) => kind !== "blank");
  if (isMark(tokens.at(-1), ";")) tokens.pop();
  return tokens.map(({ kind, text }) => {
    const lower = text.toLowerCase();
    return kind === "word" && KEYWORDS.has(lower) ? lower : text;
  });
}
