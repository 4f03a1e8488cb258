// What the server says of the templates and of the tables behind them: what they have room for, and which ways of reading and
// removing there are. Looked at whenever a connection was made, since tables may have been changed meanwhile.

import type { MySqlConnection } from "./connection.ts";
import { isServerError } from "./problem.ts";
import type { ColumnOfResult } from "./result.ts";
import { comparesExactly, lookAtTable, type TableShape } from "./table-shape.ts";
import { parseTemplate, type Template, TemplateError } from "./template.ts";
import { allTemplates, type Templates } from "./templates.ts";

export interface MessageColumns {
  readonly shape: TableShape;
  /** The columns that take each placeholder, as statements name them. */
  readonly topic?: string;
  readonly msgid?: string;
  readonly sender?: string;
  readonly payload?: string;
  readonly arrived?: string;
  readonly properties?: string;
  readonly expiresAt?: string;
}

export interface Layout {
  /** Columns of the result of `select_message_sql`: as they come, by their names in lower case. */
  readonly selected: ReadonlyMap<string, string>;
  /** Whether `arrived` of that result is a time. */
  readonly arrivedIsTime: boolean;
  readonly selectedSubscription: ReadonlyMap<string, string>;
  /** Absent: the server does not show the table of `insert_message_sql`. */
  readonly messages?: MessageColumns;
  readonly subscriptions?: TableShape;
  /** What messages are written with: the user's template, or the default one with room for what EMQX's plugin leaves out. */
  readonly insertMessage: Template;
  /** Bytes of one statement with its values. */
  readonly maxPacket: number;
  /** Between the ids of two rows of one statement. */
  readonly idStep: number;
  readonly isMariaDb: boolean;
}

const VARIABLES = `SELECT @@max_allowed_packet AS maxPacket, @@auto_increment_increment AS idStep, VERSION() AS version`;

/** Rejects with `TemplateError` for a template that the server does not take, and with the error of the connection. */
export async function lookAround(connection: MySqlConnection, templates: Templates): Promise<Layout> {
  for (const template of allTemplates(templates)) await letServerRead(connection, template);
  const selected = await columnsOf(connection, templates.selectMessage);
  const subscription = await columnsOf(connection, templates.selectSubscriptions);
  const look = (table: string | undefined) =>
    table === undefined ? undefined : lookAtTable((sql, values) => connection.execute(sql, values), table);
  const shape = await look(templates.messages?.table);
  const subscriptions = await look(templates.subscriptions?.table);
  const messages = shape && messageColumns(shape, templates);
  const { rows } = await connection.execute(VARIABLES);
  const [variables] = rows;
  return {
    selected: names(selected),
    arrivedIsTime: selected.some(({ name, isTime }) => isTime && name.toLowerCase() === "arrived"),
    selectedSubscription: names(subscription),
    ...(messages === undefined ? undefined : { messages }),
    ...(subscriptions === undefined ? undefined : { subscriptions }),
    insertMessage: widened(templates, messages),
    maxPacket: Number(variables?.maxPacket),
    idStep: Number(variables?.idStep),
    isMariaDb: /mariadb/i.test(String(variables?.version)),
  };
}

/** Whether topics can be compared by the table itself. */
export function topicsAreExact({ shape, topic }: MessageColumns): boolean {
  const column = topic === undefined ? undefined : shape.columns.get(topic.toLowerCase());
  return column !== undefined && comparesExactly(column);
}

/** Rejects with `TemplateError` for a template that the server does not take, and with the error of the connection. */
export async function letServerRead(connection: MySqlConnection, template: Template): Promise<void> {
  try {
    await connection.prepare(template.sql);
  } catch (error) {
    throw refusal(template, error);
  }
}

/** The result of a select template, which has to work inside of another SELECT too. */
export async function columnsOf(connection: MySqlConnection, template: Template): Promise<readonly ColumnOfResult[]> {
  try {
    return await connection.prepare(`SELECT * FROM (${template.sql}) AS m LIMIT 0`);
  } catch (error) {
    throw refusal(template, error);
  }
}

/** Syntax, and what the user would have to put right in the template; what else it may be stays as it is. */
const TEMPLATE_MISTAKES = new Set([1054, 1060, 1064, 1136, 1052, 1111, 1140, 1149, 1222, 1241, 1305, 1630, 1210, 1295]);

function refusal({ name }: Template, error: unknown): unknown {
  if (!(error instanceof Error) || !isServerError(error) || !TEMPLATE_MISTAKES.has(error.errno)) return error;
  return new TemplateError(name, `is refused by the server, correct it: ${error.sqlMessage}`, { cause: error });
}

function names(columns: readonly ColumnOfResult[]): Map<string, string> {
  return new Map(columns.map(({ name }) => [name.toLowerCase(), name]));
}

/** Ours, which a table may have besides those of EMQX's plugin. */
const PROPERTIES = "properties";
const EXPIRES_AT = "expires_at";

function messageColumns(shape: TableShape, templates: Templates): MessageColumns {
  const columnFor = (placeholder: string, isWhole = true): string | undefined =>
    templates.messages?.columns?.find(
      ({ placeholders, expression }) =>
        placeholders.length === 1 && placeholders[0] === placeholder && (!isWhole || !expression),
    )?.written;
  const isDefault = templates.defaults.has("insert_message_sql");
  const own = (name: string): string | undefined => (isDefault && shape.columns.has(name) ? name : undefined);
  const found = {
    topic: columnFor("topic"),
    msgid: columnFor("id"),
    sender: columnFor("from"),
    payload: columnFor("payload"),
    arrived: columnFor("timestamp", false),
    properties: columnFor("properties") ?? own(PROPERTIES),
    expiresAt: columnFor("expires_at") ?? own(EXPIRES_AT),
  };
  return { shape, ...Object.fromEntries(Object.entries(found).filter(([, column]) => column !== undefined)) };
}

function widened({ defaults, insertMessage }: Templates, messages: MessageColumns | undefined): Template {
  if (!defaults.has("insert_message_sql") || messages === undefined) return insertMessage;
  const { properties, expiresAt } = messages;
  if (properties === undefined && expiresAt === undefined) return insertMessage;
  const more = [
    ...(properties === undefined ? [] : [[properties, "${properties}"] as const]),
    ...(expiresAt === undefined ? [] : [[expiresAt, "${expires_at}"] as const]),
  ];
  const columns = ["msgid", "sender", "topic", "qos", "retain", "payload", "arrived", ...more.map(([name]) => name)];
  const values = [
    "${id}, ${from}, ${topic}, ${qos}, ${flags.retain}, ${payload}, FROM_UNIXTIME(${timestamp}/1000)",
    ...more.map(([, value]) => value),
  ];
  const text = `insert into mqtt_msg(${columns.join(", ")}) values(${values.join(", ")})`;
  return parseTemplate("insert_message_sql", text);
}
