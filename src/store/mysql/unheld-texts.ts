// Texts with characters that a column cannot hold, such as an emoji where the column is utf8mb3.
//
// MariaDB refuses to compare these with the column, MySQL in some cases too. No row has such a text, so the answer is known.

import type { Execute } from "./context.ts";
import { isServerError } from "./problem.ts";
import type { Result } from "./result.ts";

/** Illegal mix of collations (of two, three or more values), and a text that cannot be converted. */
const UNHELD = new Set([1267, 1270, 1271, 3988]);
const NOTHING: Result = { rows: [], affectedRows: 0, insertId: 0 };

/** For statements that look for texts: where a column cannot hold one, nothing is found. */
export function withUnheldTexts(execute: Execute): Execute {
  return async (sql, parameters) => {
    try {
      return await execute(sql, parameters);
    } catch (error) {
      if (error instanceof Error && isServerError(error) && UNHELD.has(error.errno)) return NOTHING;
      throw error;
    }
  };
}
