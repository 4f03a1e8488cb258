// What a table has room for, as the server describes it.

import type { Parameter, Result } from "./result.ts";

export interface ColumnShape {
  readonly name: string;
  /** In lower case: varchar, blob, datetime … */
  readonly type: string;
  /** Of a text column, in characters. */
  readonly maxCharacters?: number;
  /** Of a text or binary column. */
  readonly maxBytes?: number;
  /** Absent: it holds bytes or no text. */
  readonly collation?: string;
  /** Whether it takes characters outside of the Basic Multilingual Plane: not so with utf8mb3. */
  readonly takesAllCharacters: boolean;
  readonly isNullable: boolean;
}

export interface TableShape {
  /** As statements name it. */
  readonly table: string;
  /** By name in lower case. */
  readonly columns: ReadonlyMap<string, ColumnShape>;
  /** The first columns of its indexes, in lower case. */
  readonly indexed: ReadonlySet<string>;
  /** The column that counts up by itself, as an index can be read in its order, as statements name it. */
  readonly rowId?: string;
}

/** Texts that differ are never equal: neither case, accents nor trailing spaces are ignored. */
export function comparesExactly({ collation, type }: ColumnShape): boolean {
  if (collation === undefined) return /binary|blob/.test(type);
  return /nopad_bin$|_0900_bin$|^binary$/.test(collation);
}

/** The text of a column as bytes of UTF-8, whatever its character set: these compare exactly. */
export function bytesOfText(column: string): string {
  return `CAST(CONVERT(${column} USING utf8mb4) AS BINARY)`;
}

const UNICODE = new Set(["utf8mb4", "utf16", "utf32", "utf16le", "gb18030"]);

const COLUMNS = `SELECT COLUMN_NAME AS name, LOWER(DATA_TYPE) AS type, CHARACTER_MAXIMUM_LENGTH AS characters,
  CHARACTER_OCTET_LENGTH AS bytes, COLLATION_NAME AS collation, CHARACTER_SET_NAME AS charset, IS_NULLABLE AS nullable,
  LOWER(EXTRA) AS extra FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ?`;
const INDEXES = `SELECT LOWER(COLUMN_NAME) AS name FROM information_schema.STATISTICS
  WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? AND SEQ_IN_INDEX = 1 AND SUB_PART IS NULL`;

/** The table's shape; undefined when the server shows none, as for a view that the user may not look into. */
export async function lookAtTable(
  execute: (sql: string, parameters: readonly Parameter[]) => Promise<Result>,
  table: string,
): Promise<TableShape | undefined> {
  const name = nameOf(table);
  const { rows } = await execute(COLUMNS, name);
  if (rows.length === 0) return undefined;
  const columns = new Map<string, ColumnShape>();
  let rowId: ColumnShape | undefined;
  for (const row of rows) {
    const column = columnOf(row);
    columns.set(column.name.toLowerCase(), column);
    if (String(row.extra).includes("auto_increment")) rowId = column;
  }
  const indexes = await execute(INDEXES, name);
  const indexed = new Set(indexes.rows.map((row) => String(row.name)));
  const isOrdered = rowId !== undefined && indexed.has(rowId.name.toLowerCase());
  return { table, columns, indexed, ...(isOrdered ? { rowId: quotedName((rowId as ColumnShape).name) } : undefined) };
}

function columnOf(row: Readonly<Record<string, unknown>>): ColumnShape {
  const { name, type, characters, bytes, collation, charset, nullable } = row;
  return {
    name: String(name),
    type: String(type),
    ...(characters === null ? undefined : { maxCharacters: Number(characters) }),
    ...(bytes === null ? undefined : { maxBytes: Number(bytes) }),
    ...(collation === null ? undefined : { collation: String(collation) }),
    takesAllCharacters: charset === null || UNICODE.has(String(charset)),
    isNullable: nullable === "YES",
  };
}

/** What statements name, by table: the few names of the templates, which are asked for with each message. */
const NAMED = new WeakMap<TableShape, Map<string, ColumnShape | undefined>>();

/** The column that a statement names, with or without its table in front. */
export function columnNamed(shape: TableShape | undefined, written: string | undefined): ColumnShape | undefined {
  if (shape === undefined || written === undefined) return undefined;
  let named = NAMED.get(shape);
  if (named === undefined) {
    named = new Map();
    NAMED.set(shape, named);
  }
  if (!named.has(written)) named.set(written, shape.columns.get(nameOf(written)[1].toLowerCase()));
  return named.get(written);
}

/** As a statement can name it, whatever characters it has and whether it is a keyword. */
export function quotedName(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}

/** Schema (null: the connection's) and name of a table as a statement names it; likewise the table and name of a column. */
export function nameOf(table: string): [schema: string | null, name: string] {
  const parts = [...table.matchAll(/`((?:[^`]|``)*)`|"((?:[^"]|"")*)"|([^.`"]+)/g)].map(
    ([, tick, quoted, bare]) => tick?.replaceAll("``", "`") ?? quoted?.replaceAll('""', '"') ?? bare ?? "",
  );
  const name = parts.pop() ?? table;
  return [parts.pop() ?? null, name];
}
