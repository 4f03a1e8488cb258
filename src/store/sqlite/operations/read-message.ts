// Reads one message by its id: a page of one, or of none when it is not stored or has expired.

import type { Database } from "../database.ts";
import { PAGE_COLUMNS, PageBuilder, type PageRow } from "../page-builder.ts";
import type { PageColumns, ReadMessage } from "../protocol.ts";
import { oldestKept } from "./read-page.ts";

const SELECT_MESSAGE = `SELECT ${PAGE_COLUMNS} FROM mqtt_msg WHERE msgid = ?3`;

export function readMessage(database: Database, { id, now }: ReadMessage): PageColumns {
  const oldest = oldestKept(database, now);
  const page = new PageBuilder({ maxMessages: 1, maxBytes: Number.POSITIVE_INFINITY, now }, oldest);
  const row = database.row<PageRow>(SELECT_MESSAGE, now, oldest, id);
  if (row !== undefined) page.add(row);
  return page.build(undefined);
}
