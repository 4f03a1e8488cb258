// What the server says of the templates and of the tables behind them: what they have room for, and which ways of reading and
// removing there are. Looked at whenever a connection was made, since tables may have been changed meanwhile.

import type { MySqlConnection } from "./connection.ts";
import { isStatementMistake } from "./problem.ts";
import type { ColumnOfResult } from "./result.ts";
import { columnNamed, comparesExactly, lookAtTable, nameOf, quotedName, type TableShape } from "./table-shape.ts";
import { parseTemplate, type Template, TemplateError, type TemplateName } from "./template.ts";
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

export interface SubscriptionColumns {
  readonly shape: TableShape;
  /** The columns that take each placeholder, as statements name them. */
  readonly clientId?: string;
  readonly topic?: string;
}

export interface Layout {
  /** Columns of the result of `select_message_sql`: as they come, by their names in lower case. `id` only if it can be paged by. */
  readonly selected: ReadonlyMap<string, string>;
  /** Whether `id` of that result is the column that counts up in the table of `insert_message_sql`. */
  readonly idIsRowId: boolean;
  /** Whether `arrived` of that result is a time. */
  readonly arrivedIsTime: boolean;
  readonly selectedSubscription: ReadonlyMap<string, string>;
  /** Absent: the server does not show the table of `insert_message_sql`. */
  readonly messages?: MessageColumns;
  readonly subscriptions?: SubscriptionColumns;
  /** The column of the result of `select_topics_sql` that has the topics. */
  readonly topicsColumn?: string;
  /** What messages are written with: the user's template, or the default one with room for what EMQX's plugin leaves out. */
  readonly insertMessage: Template;
  /** Bytes of one statement with its values. */
  readonly maxPacket: number;
  /** Between the ids of two rows of one statement. */
  readonly idStep: number;
  readonly isMariaDb: boolean;
}

const VARIABLES = `SELECT @@max_allowed_packet AS maxPacket, @@auto_increment_increment AS idStep, VERSION() AS version, DATABASE() AS db`;

/** Rejects with `TemplateError` for a template that the server does not take, and with the error of the connection. */
export async function lookAround(connection: MySqlConnection, templates: Templates): Promise<Layout> {
  for (const template of allTemplates(templates)) await letServerRead(connection, template);
  const { selectMessage, selectSubscriptions, selectTopics } = templates;
  const selected = (await columnsOf(connection, selectMessage)).filter(
    ({ name, isWholeNumber }) => isWholeNumber || name.toLowerCase() !== "id",
  );
  const origins = await letServerRead(connection, selectMessage);
  const subscription = await columnsOf(connection, selectSubscriptions);
  const topics = selectTopics && (await columnsOf(connection, selectTopics));
  const look = (table: string | undefined) =>
    table === undefined ? undefined : lookAtTable((sql, values) => connection.execute(sql, values), table);
  const shape = await look(templates.messages?.table);
  const subscriptionShape = await look(templates.subscriptions?.table);
  const subscriptions = subscriptionShape && subscriptionColumns(subscriptionShape, templates);
  const messages = shape && messageColumns(shape, templates);
  const { rows } = await connection.execute(VARIABLES);
  const [variables] = rows;
  return {
    selected: names(selected),
    idIsRowId: isRowId(origins.find(({ name }) => name.toLowerCase() === "id")?.origin, shape, String(variables?.db)),
    arrivedIsTime: selected.some(({ name, isTime }) => isTime && name.toLowerCase() === "arrived"),
    selectedSubscription: names(subscription),
    ...(messages === undefined ? undefined : { messages }),
    ...(subscriptions === undefined ? undefined : { subscriptions }),
    ...(topics?.[0] === undefined ? undefined : { topicsColumn: topics[0].name }),
    insertMessage: widened(templates, messages),
    maxPacket: Number(variables?.maxPacket),
    idStep: Number(variables?.idStep),
    isMariaDb: /mariadb/i.test(String(variables?.version)),
  };
}

/** Whether topics can be compared by the table itself. */
export function topicsAreExact({ shape, topic }: MessageColumns): boolean {
  const column = columnNamed(shape, topic);
  return column !== undefined && comparesExactly(column);
}

/** Rejects with `TemplateError` for a template that the server does not take, and with the error of the connection. */
export async function letServerRead(
  connection: MySqlConnection,
  template: Template,
): Promise<readonly ColumnOfResult[]> {
  try {
    return await connection.prepare(template.sql);
  } catch (error) {
    throw refusal(template, error);
  }
}

/** Columns without which the result of a template is of no use. */
const NEEDED_COLUMNS: Partial<Record<TemplateName, readonly string[]>> = {
  select_message_sql: ["msgid", "payload"],
  select_subscriptions_sql: ["topic"],
};

/**
 * The result of a select template, which has to work inside of another SELECT too. Rejects as `letServerRead` does, and with
 * `TemplateError` if a column is missing.
 */
export async function columnsOf(connection: MySqlConnection, template: Template): Promise<readonly ColumnOfResult[]> {
  let columns: readonly ColumnOfResult[];
  try {
    columns = await connection.prepare(`SELECT * FROM (${template.sql}) AS m LIMIT 0`);
  } catch (error) {
    throw refusal(template, error);
  }
  const given = names(columns);
  const missing = NEEDED_COLUMNS[template.name]?.find((name) => !given.has(name));
  if (missing === undefined) return columns;
  throw new TemplateError(template.name, `gives no column ${missing}: select it under this name`);
}

/** Whether the templates that read are to be looked at with `columnsOf`. */
export function isRead({ name }: Template): boolean {
  return name.startsWith("select_");
}

function refusal({ name }: Template, error: unknown): unknown {
  if (!isStatementMistake(error)) return error;
  return new TemplateError(name, `is refused by the server, correct it: ${error.sqlMessage}`, { cause: error });
}

function names(columns: readonly ColumnOfResult[]): Map<string, string> {
  return new Map(columns.map(({ name }) => [name.toLowerCase(), name]));
}

/** Ours, which a table may have besides those of EMQX's plugin. */
const PROPERTIES = "properties";
const EXPIRES_AT = "expires_at";

function isRowId(
  origin: ColumnOfResult["origin"] | undefined,
  shape: TableShape | undefined,
  database: string,
): boolean {
  if (origin === undefined || shape?.rowId === undefined) return false;
  const [schema, table] = nameOf(shape.table);
  return (
    origin.table.toLowerCase() === table.toLowerCase() &&
    origin.schema.toLowerCase() === (schema ?? database).toLowerCase() &&
    quotedName(origin.name).toLowerCase() === shape.rowId.toLowerCase()
  );
}

function subscriptionColumns(shape: TableShape, { subscriptions }: Templates): SubscriptionColumns {
  const columnFor = (placeholder: string): string | undefined =>
    subscriptions?.columns?.find(({ placeholders, expression }) => !expression && placeholders[0] === placeholder)
      ?.written;
  const [clientId, topic] = [columnFor("clientid"), columnFor("topic")];
  return {
    shape,
    ...(clientId === undefined ? undefined : { clientId }),
    ...(topic === undefined ? undefined : { topic }),
  };
}

function messageColumns(shape: TableShape, templates: Templates): MessageColumns {
  const columnFor = (placeholder: string, isWhole = true): string | undefined =>
    templates.messages?.columns?.find(
      ({ placeholders, expression }) =>
        placeholders.length === 1 && placeholders[0] === placeholder && (!isWhole || !expression),
    )?.written;
  const isDefault = templates.defaults.has("insert_message_sql");
  // Somebody else's column of this name may be of another kind.
  const own = (name: string, types: RegExp): string | undefined => {
    const column = isDefault ? shape.columns.get(name) : undefined;
    return column?.isNullable && types.test(column.type) ? name : undefined;
  };
  const found = {
    topic: columnFor("topic"),
    msgid: columnFor("id"),
    sender: columnFor("from"),
    payload: columnFor("payload"),
    arrived: columnFor("timestamp", false),
    properties: columnFor("properties") ?? own(PROPERTIES, /^(?:json|varchar|.*text)$/),
    expiresAt: columnFor("expires_at") ?? own(EXPIRES_AT, /^bigint$/),
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
