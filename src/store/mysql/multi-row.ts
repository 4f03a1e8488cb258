// Lets an insert template write several rows with one statement, where that means the same as one statement per row.

import { type Group, readInsert } from "./insert-statement.ts";
import { isWord, type Token } from "./sql-tokens.ts";
import type { Template } from "./template.ts";

/** A statement whose one `(…)` after VALUES can be repeated. All its parameters are in there. */
export interface MultiRow {
  readonly before: string;
  /** The group, with its parentheses. */
  readonly row: string;
  readonly after: string;
  readonly parametersPerRow: number;
  /** How many rows a statement can have: the server takes 65,535 parameters. */
  readonly maxRows: number;
}

/** The most `?` that MySQL and MariaDB take in one prepared statement. */
const MAX_PARAMETERS = 65_535;

/**
 * How to give a template several rows. Undefined where that is impossible or could mean something else: it is no
 * `INSERT|REPLACE … VALUES (…)`, has several groups already, has a placeholder outside of the group, or its group has a
 * SELECT or asks for what the statement before did (LAST_INSERT_ID, ROW_COUNT, FOUND_ROWS).
 */
export function repeatableRows({ sql, parameters }: Template): MultiRow | undefined {
  const { rows, tail } = readInsert(sql) ?? { rows: [], tail: [] };
  const [group] = rows;
  if (group === undefined || rows.length > 1 || !canFollow(tail[0]) || !standsAlone(group)) return undefined;
  const parametersPerRow = group.items.flat().filter(({ kind }) => kind === "parameter").length;
  if (parametersPerRow !== parameters.length) return undefined;
  return {
    before: sql.slice(0, group.start),
    row: sql.slice(group.start, group.end),
    after: sql.slice(group.end),
    parametersPerRow,
    maxRows: Math.floor(MAX_PARAMETERS / Math.max(parametersPerRow, 1)),
  };
}

/**
 * The statement for `count` rows. Its parameters are those of the template for the first row, then for the second, and so
 * on. `count` is from 1 to `maxRows`, which the caller sees to: below that it throws RangeError, above it the server refuses.
 */
export function sqlForRows({ before, row, after }: MultiRow, count: number): string {
  return before + `${row}, `.repeat(count - 1) + row + after;
}

/** After the rows: the end, an alias of the row (MySQL), ON DUPLICATE KEY UPDATE, or RETURNING (MariaDB). */
function canFollow(token: Token | undefined): boolean {
  return token === undefined || isWord(token, "as", "on", "returning");
}

function standsAlone({ items }: Group): boolean {
  return !items.flat().some((token) => isWord(token, "select", "last_insert_id", "row_count", "found_rows"));
}
