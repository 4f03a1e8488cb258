// What travels between the broker and the worker thread that keeps broker.db.

import type { MessageId } from "../../mqtt/message-id.ts";
import type { MessageColumns } from "../../sqlite/message-columns.ts";
import type { Problem } from "../../sqlite/problem.ts";
import type { STOP } from "../../sqlite/worker-link.ts";
import type { Table } from "./schema.ts";

export type Value = string | number | null;

export interface TableChanges {
  /** Rows that are new or have changed, one after the other: the values of one row are as many as the table has columns. */
  readonly rows: readonly Value[];
  /** Ids of the rows that go. */
  readonly removed: readonly number[];
}

/** One transaction. Running it again changes nothing more. */
export interface WriteRequest {
  readonly kind: "write";
  readonly changes: { readonly [T in Table]?: TableChanges };
  readonly messages: MessageColumns;
  /** Of the messages. */
  readonly messageRowIds: readonly number[];
  readonly removedMessages: readonly number[];
  readonly storedUpTo: MessageId;
  /** All that is to be in the file: what it holds besides goes. */
  readonly isWhole: boolean;
}

export interface ReadRequest {
  readonly kind: "read";
  readonly table: Table | "message" | "watermark";
  /** Rows above this id. */
  readonly after: number;
}

export type Request = WriteRequest | ReadRequest;

export type ToWorker = Request | typeof STOP;

export interface Rows {
  readonly kind: "rows";
  /** As in `TableChanges`; of messages the ids alone. */
  readonly rows: readonly Value[];
  readonly messages?: MessageColumns;
  /** Read on after this id; absent: these are the last. */
  readonly next?: number;
}

export type Reply =
  | { readonly kind: "written" }
  /** The file is not the one that the writes before went to: nothing was written, and a whole one is asked for. */
  | { readonly kind: "replaced" }
  | Rows
  | { readonly kind: "failed"; readonly problem: Problem };
