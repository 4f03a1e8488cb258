// Tells which table an insert template writes to, and which column gets which placeholder.

import { isName, readInsert, textOf } from "./insert-statement.ts";
import { codeTokens, isMark, type Token } from "./sql-tokens.ts";
import type { Placeholder, Template } from "./template.ts";

/** A column that an insert template writes. */
export interface TargetColumn {
  /** Without quotes and without the table in front. Servers do not look at the case. */
  readonly name: string;
  /** As the template has it, for use in another statement. */
  readonly written: string;
  /** The placeholders of its value: exactly one if it is no expression; none for a constant. */
  readonly placeholders: readonly Placeholder[];
  /** Whether the value is anything else than one placeholder, such as `FROM_UNIXTIME(${timestamp}/1000)` or `0`. */
  readonly expression: boolean;
}

/** Where an insert template writes. */
export interface InsertTarget {
  /** As it is written, with its quotes, without blanks: `t`, `db.t`, `` `db`.`t` ``, `"t"`. */
  readonly table: string;
  /** In the order of the template; undefined if it has no column list, or not one group of as many values. */
  readonly columns: readonly TargetColumn[] | undefined;
}

/** Where an insert template writes; undefined if it is no INSERT or REPLACE. */
export function insertTarget({ sql, parameters }: Template): InsertTarget | undefined {
  const statement = readInsert(sql);
  if (!statement) return undefined;
  const { table, columns, rows } = statement;
  const names = columns?.items.map(columnName);
  const values = rows.length === 1 ? rows[0]?.items : undefined;
  if (!names || !values || names.length !== values.length) return { table, columns: undefined };

  const targets: TargetColumn[] = [];
  const rowStart = rows[0]?.start ?? 0;
  let next = codeTokens(sql).filter((token) => isParameter(token) && token.start < rowStart).length;
  for (const [index, value] of values.entries()) {
    const name = names[index];
    if (!name) return { table, columns: undefined };
    const count = value.filter(isParameter).length;
    const placeholders = parameters.slice(next, next + count);
    next += count;
    targets.push({ ...name, placeholders, expression: value.length !== 1 || count !== 1 });
  }
  return { table, columns: targets };
}

function isParameter({ kind }: Token): boolean {
  return kind === "parameter";
}

/** `topic`, `` `topic` ``, or one of these after the table and a dot. */
function columnName(tokens: readonly Token[]): { name: string; written: string } | undefined {
  const last = tokens.at(-1);
  const isQualified = tokens.every((token, index) => (index % 2 === 0 ? isName(token) : isMark(token, ".")));
  if (!isName(last) || !isQualified) return undefined;
  return { name: unquoted(last), written: textOf(tokens) };
}

function unquoted({ kind, text }: Token): string {
  if (kind === "word") return text;
  const quote = text[0] as string;
  return text.slice(1, -1).replaceAll(quote + quote, quote);
}
