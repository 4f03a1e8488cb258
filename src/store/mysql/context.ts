// What the operations need: a way to send statements, the templates, what is known of the tables, and which message is where.

import type { Layout } from "./layout.ts";
import type { Parameter, Result } from "./result.ts";
import type { RowIds } from "./row-ids.ts";
import type { Templates } from "./templates.ts";

export type Execute = (sql: string, parameters?: readonly Parameter[]) => Promise<Result>;

export interface MySqlContext {
  /**
   * One round trip. A text with a character that a column cannot hold is equal to none of it: it finds nothing. Rejects with
   * the error of MySQL or the connection.
   */
  readonly execute: Execute;
  /** As `execute`, for what writes values: one that a column cannot hold is an error. */
  readonly insert: Execute;
  readonly templates: Templates;
  readonly layout: Layout;
  readonly rowIds: RowIds;
  /** In seconds; 0: messages do not expire by age. */
  readonly messageTtl: number;
  readonly maxBacklogPerTopic: number;
}
