// A client's subscriptions: topic filter and QoS, which is all that EMQX's plugin has room for.
//
// The key of the plugin's table ignores case, accents and spaces at the end, so that `t/a` and `t/A`, or clients `C1` and `c1`,
// are one row. Such a subscription is not stored, lest it takes the place of the other one.

import type { QoS } from "../../../mqtt/message.ts";
import type { Subscription } from "../../../mqtt/subscription.ts";
import type { MySqlContext } from "../context.ts";
import type { Parameter, Row } from "../result.ts";
import { bytesOfText, columnNamed, comparesExactly } from "../table-shape.ts";
import type { Placeholder, Template } from "../template.ts";

type Key = Pick<Subscription, "clientId" | "topicFilter">;

/** `false`: another row has its key, so that it is not stored. Rejects with the error of MySQL or the connection. */
export async function saveSubscription(context: MySqlContext, subscription: Subscription): Promise<boolean> {
  const other = await rowWithThisKey(context, subscription);
  if (other === "another") return false;
  const { insertSubscription } = context.templates;
  await context.insert(insertSubscription.sql, valuesOf(insertSubscription, subscription, subscription.qos));
  return true;
}

export async function deleteSubscription(context: MySqlContext, key: Key): Promise<void> {
  if ((await rowWithThisKey(context, key)) === "another") return;
  const { deleteSubscription } = context.templates;
  await context.execute(deleteSubscription.sql, valuesOf(deleteSubscription, key));
}

/** Rejects with the error of MySQL or the connection. */
export async function listSubscriptions(context: MySqlContext, clientId: string): Promise<Subscription[]> {
  const { templates, layout, execute } = context;
  const { sql, parameters } = templates.selectSubscriptions;
  const columns = layout.selectedSubscription;
  const exact = exactRowsOf(context, clientId);
  const { rows } = await (exact ??
    execute(
      sql,
      parameters.map(() => clientId),
    ));
  const value = (row: Row, column: string): unknown => row[columns.get(column) ?? column];
  const found = new Map<string, Subscription>();
  for (const row of rows) {
    if (columns.has("clientid") && String(value(row, "clientid")) !== clientId) continue;
    const topicFilter = String(value(row, "topic") ?? "");
    const qos = Number(value(row, "qos") ?? 0);
    if (topicFilter === "" || (qos !== 0 && qos !== 1 && qos !== 2)) continue;
    found.set(topicFilter, {
      clientId,
      topicFilter,
      qos: qos as QoS,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    });
  }
  return [...found.values()];
}

function valuesOf({ parameters }: Template, { clientId, topicFilter }: Key, qos: QoS = 0): Parameter[] {
  const value = (placeholder: Placeholder): Parameter => {
    if (placeholder === "topic") return topicFilter;
    return placeholder === "qos" ? qos : clientId;
  };
  return parameters.map(value);
}

/** Where a table takes different texts for equal: the columns by which a row is told from another. */
function inexactKey({ layout }: MySqlContext): { table: string; clientId: string; topic: string } | undefined {
  const { shape, clientId, topic } = layout.subscriptions ?? {};
  if (shape === undefined || clientId === undefined || topic === undefined) return undefined;
  const columns = [columnNamed(shape, clientId), columnNamed(shape, topic)];
  if (columns.every((column) => column === undefined || comparesExactly(column))) return undefined;
  return { table: shape.table, clientId, topic };
}

/** Whether the row that has this key in the eyes of the table is this subscription, another one, or not there. */
async function rowWithThisKey(
  context: MySqlContext,
  { clientId, topicFilter }: Key,
): Promise<"this" | "another" | "none"> {
  const key = inexactKey(context);
  if (key === undefined) return "none";
  const sql = `SELECT ${key.clientId} AS clientid, ${key.topic} AS topic FROM ${key.table} WHERE ${key.clientId} = ? AND ${key.topic} = ?`;
  const { rows } = await context.execute(sql, [clientId, topicFilter]);
  const found = rows.map((row): Key => ({ clientId: String(row.clientid), topicFilter: String(row.topic) }));
  const ours = context.templates.defaults.has("select_subscriptions_sql") ? found : await visible(context, found);
  if (ours.length === 0) return "none";
  return ours.some((row) => row.clientId === clientId && row.topicFilter === topicFilter) ? "this" : "another";
}

/** In a table of the user's a row may be something else than a subscription: those that `select_subscriptions_sql` gives. */
async function visible(context: MySqlContext, keys: readonly Key[]): Promise<Key[]> {
  const given: Key[] = [];
  for (const key of keys) {
    const own = await listSubscriptions(context, key.clientId);
    if (own.some(({ topicFilter }) => topicFilter === key.topicFilter)) given.push(key);
  }
  return given;
}

/** With EMQX's own template, which does not say of which client a row is, where the table cannot tell clients apart. */
function exactRowsOf({ templates, layout, execute }: MySqlContext, clientId: string) {
  if (!templates.defaults.has("select_subscriptions_sql")) return undefined;
  const column = layout.subscriptions?.shape.columns.get("clientid");
  if (column === undefined || comparesExactly(column)) return undefined;
  return execute(
    `SELECT topic, qos FROM mqtt_sub WHERE clientid = ? AND ${bytesOfText("clientid")} = CAST(? AS BINARY)`,
    [clientId, clientId],
  );
}
