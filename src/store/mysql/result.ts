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

export function toResult(result: unknown): Result {
  if (Array.isArray(result)) return { rows: result as Row[], affectedRows: 0, insertId: 0 };
  const { affectedRows = 0, insertId = 0 } = (result ?? {}) as { affectedRows?: number; insertId?: number };
  return { rows: [], affectedRows, insertId: Number(insertId) };
}

export function toColumns(fields: unknown): ColumnOfResult[] {
  if (!Array.isArray(fields)) return [];
  return (fields as { name: string; columnType?: number; type?: number }[]).map(({ name, columnType, type }) => ({
    name,
    isTime: TIME_TYPES.has(columnType ?? type ?? 0),
  }));
}
