// Clients that have subscriptions, in the order of their bytes.

import type { MySqlContext } from "../context.ts";
import { bytesOfText, columnNamed, comparesExactly } from "../table-shape.ts";

/** GROUP BY takes a column of the table before a name that the statement gives: no table has one of this name. */
const NAME = "omp_clientid";

/** Undefined: the table of `insert_subscription_sql` does not tell. Rejects with the error of MySQL or the connection. */
export async function listClients(
  { execute, layout: { subscriptions } }: MySqlContext,
  after: string,
  limit: number,
): Promise<string[] | undefined> {
  if (subscriptions?.clientId === undefined) return undefined;
  const { shape, clientId } = subscriptions;
  const found = columnNamed(shape, clientId);
  const isExact = found !== undefined && comparesExactly(found);
  const column = isExact ? clientId : bytesOfText(clientId);
  const value = isExact ? "?" : "CAST(? AS BINARY)";
  const { rows } = await execute(
    `SELECT DISTINCT ${column} AS ${NAME} FROM ${shape.table} WHERE ${column} > ${value} ORDER BY ${NAME} LIMIT ${limit}`,
    [after],
  );
  return rows.map((row) => String(row[NAME]));
}
