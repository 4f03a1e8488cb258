// All that the server says of a table which is to be changed.

import type { Execute } from "./context.ts";
import type { Row } from "./result.ts";
import { type ColumnShape, lookAtTable } from "./table-shape.ts";

export interface TableColumn extends ColumnShape {
  /** With its length: `varchar(64)`. */
  readonly fullType: string;
  /** Of a time, in digits behind the second. */
  readonly precision?: number;
  /** As a statement has it; absent: none. */
  readonly defaultSql?: string;
  /** `COMMENT '…'`; absent: none. */
  readonly commentSql?: string;
}

export interface MigratedTable {
  readonly name: string;
  /** `BASE TABLE`, `VIEW` … */
  readonly kind: string;
  readonly engine: string;
  readonly rowFormat: string;
  /** Of columns that do not say one. */
  readonly collation: string;
  /** An estimate. */
  readonly rows: number;
  readonly isMariaDb: boolean;
  readonly columns: ReadonlyMap<string, TableColumn>;
  /** The first columns of indexes, in lower case. */
  readonly indexed: ReadonlySet<string>;
  readonly indexes: ReadonlySet<string>;
}

const TABLE = `SELECT TABLE_TYPE AS kind, LOWER(ENGINE) AS engine, LOWER(ROW_FORMAT) AS rowFormat, TABLE_COLLATION AS collation,
  TABLE_ROWS AS rows_, VERSION() AS version FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?`;
const COLUMNS = `SELECT LOWER(COLUMN_NAME) AS name, COLUMN_TYPE AS fullType, DATETIME_PRECISION AS precision_,
  COLUMN_DEFAULT AS default_, LOWER(EXTRA) AS extra, COLUMN_COMMENT AS comment_ FROM information_schema.COLUMNS
  WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?`;
const INDEXES = `SELECT DISTINCT LOWER(INDEX_NAME) AS name FROM information_schema.STATISTICS
  WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?`;

/** Undefined: there is no such table. Rejects with the error of MySQL or the connection. */
export async function describeTable(execute: Execute, name: string): Promise<MigratedTable | undefined> {
  const [table] = (await execute(TABLE, [name])).rows;
  const shape = await lookAtTable(execute, name);
  if (table === undefined || shape === undefined) return undefined;
  const isMariaDb = /mariadb/i.test(String(table.version));
  const columns = new Map<string, TableColumn>();
  for (const row of (await execute(COLUMNS, [name])).rows) {
    const column = shape.columns.get(String(row.name));
    if (column !== undefined) columns.set(String(row.name), { ...column, ...detailsOf(row, isMariaDb) });
  }
  const indexes = (await execute(INDEXES, [name])).rows.map((row) => String(row.name));
  return {
    name,
    kind: String(table.kind),
    engine: String(table.engine),
    rowFormat: String(table.rowFormat),
    collation: String(table.collation),
    rows: Number(table.rows_),
    isMariaDb,
    columns,
    indexed: shape.indexed,
    indexes: new Set(indexes),
  };
}

function detailsOf(row: Row, isMariaDb: boolean): Omit<TableColumn, keyof ColumnShape> {
  const { fullType, precision_, default_, extra, comment_ } = row;
  // MariaDB gives the SQL of a default, MySQL that of an expression and otherwise the value.
  const isSql = isMariaDb || String(extra).includes("default_generated");
  const hasDefault = default_ !== null && !(isMariaDb && default_ === "NULL");
  return {
    fullType: String(fullType),
    ...(precision_ === null ? undefined : { precision: Number(precision_) }),
    ...(hasDefault ? { defaultSql: isSql ? String(default_) : quoted(String(default_)) } : undefined),
    ...(String(comment_) === "" ? undefined : { commentSql: `COMMENT ${quoted(String(comment_))}` }),
  };
}

/** The store's sessions have no NO_BACKSLASH_ESCAPES. */
function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}
