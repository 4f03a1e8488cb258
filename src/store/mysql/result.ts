// Results of statements, as the client library gives them and as the store uses them.

import mysql, { type TypedParameterValue } from "mysql2";

/** A number is bound as a floating point number, unless `wholeNumber` makes it one. */
export type Parameter = string | number | Buffer | null | TypedParameterValue;

/** A number that is bound as BIGINT: for what MySQL computes or compares with other whole numbers. */
export function wholeNumber(value: number): Parameter {
  return mysql.TypedParameter.LONGLONG(value);
}

/** By the names of the columns. Numbers above 2^53, decimals and times come as text, bytes as bytes. */
export type Row = Readonly<Record<string, unknown>>;

export interface ColumnOfResult {
  readonly name: string;
  /** DATE, DATETIME or TIMESTAMP. */
  readonly isTime: boolean;
  readonly isWholeNumber: boolean;
  /** The column of a table that it is; empty texts: it is computed, or the server does not tell. */
  readonly origin: { readonly schema: string; readonly table: string; readonly name: string };
}

export interface Result {
  /** Of a SELECT. */
  readonly rows: readonly Row[];
  readonly affectedRows: number;
  /** The first AUTO_INCREMENT value of an INSERT; 0: none. */
  readonly insertId: number;
}

/** DATE, DATETIME and TIMESTAMP in the protocol, and their forms with fractions of seconds. */
const TIME_TYPES = new Set([7, 10, 12, 17, 18]);

/** All integers, and DECIMAL, which sums and the like are. */
const WHOLE_TYPES = new Set([0, 1, 2, 3, 8, 9, 246]);

interface Field {
  readonly name: string;
  readonly columnType?: number;
  readonly type?: number;
  readonly schema?: string;
  readonly orgTable?: string;
  readonly orgName?: string;
}

export function toResult(result: unknown): Result {
  if (Array.isArray(result)) return { rows: result as Row[], affectedRows: 0, insertId: 0 };
  const { affectedRows = 0, insertId = 0 } = (result ?? {}) as { affectedRows?: number; insertId?: number };
  return { rows: [], affectedRows, insertId: Number(insertId) };
}

export function toColumns(fields: unknown): ColumnOfResult[] {
  if (!Array.isArray(fields)) return [];
  return (fields as Field[]).map(({ name, columnType, type, schema = "", orgTable = "", orgName = "" }) => ({
    name,
    isTime: TIME_TYPES.has(columnType ?? type ?? -1),
    isWholeNumber: WHOLE_TYPES.has(columnType ?? type ?? -1),
    origin: { schema, table: orgTable, name: orgName },
  }));
}
