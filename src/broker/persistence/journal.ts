// Writes what changes to broker.db behind the event loop's back, in batches, and tells when it is durable.
//
// The rows that changed while one batch is under way make the next one. A batch takes all of them as they are when it
// begins, so that the file always holds one state that the broker was in. A row that came and went in between is never
// written, and not kept either: what waits for a batch is bounded by the state that it saves and the one in the file.

import type { MessageId } from "../../mqtt/message-id.ts";
import { toColumns } from "../../sqlite/message-columns.ts";
import type { DatabaseLink } from "./database-link.ts";
import type { Value, WriteRequest } from "./protocol.ts";
import { type MessageRow, type Row, TableRow } from "./rows.ts";
import type { Table } from "./schema.ts";

/** Is told of each batch that has become durable. */
export interface DurableListener {
  durable(batch: number): void;
}

/** What a batch is made of besides the rows that have changed. */
export interface JournalSource {
  /** Asked when a batch begins; see the schema. */
  storedUpTo(): MessageId;
  /** All rows that are to be in the file. */
  wanted(): Iterable<Row>;
}

export class Journal {
  /** Rises with each change: whether something changed anything is seen by comparing. */
  changes = 0;
  readonly #database: DatabaseLink;
  readonly #source: JournalSource;
  #changed = new Set<Row>();
  /** Something has changed since the last batch began, even if it is gone again. */
  #isDue = false;
  /** The number of the batch that takes what changes now. */
  #next = 1;
  #durable = 0;
  #isWriting = false;
  #isScheduled = false;
  readonly #listeners = new Set<DurableListener>();
  readonly #run = (): void => this.#begin();

  constructor(database: DatabaseLink, source: JournalSource) {
    this.#database = database;
    this.#source = source;
  }

  /** Rows that wait for the next batch. */
  get waiting(): number {
    return this.#changed.size;
  }

  /** The batch with which all that has changed is durable; 0: it is already. */
  get barrier(): number {
    if (this.#isDue) return this.#next;
    return this.#isWriting ? this.#next - 1 : 0;
  }

  isDurable(batch: number): boolean {
    return batch <= this.#durable;
  }

  /** The row is new, has other values, or is not wanted any more. */
  change(row: Row): void {
    this.changes += 1;
    this.#isDue = true;
    if (row.isWanted || row.isWritten) this.#changed.add(row);
    else this.#changed.delete(row);
    this.#schedule();
  }

  addListener(listener: DurableListener): void {
    this.#listeners.add(listener);
  }

  removeListener(listener: DurableListener): void {
    this.#listeners.delete(listener);
  }

  /** At the end of the turn, so that what belongs together is in one batch. */
  #schedule(): void {
    if (this.#isScheduled || this.#isWriting) return;
    this.#isScheduled = true;
    setImmediate(this.#run);
  }

  #begin(): void {
    this.#isScheduled = false;
    const batch = this.#next;
    this.#next += 1;
    const rows = this.#changed;
    this.#changed = new Set();
    this.#isDue = false;
    if (rows.size === 0) {
      this.#settle(batch);
      return;
    }
    this.#isWriting = true;
    void this.#database
      .write(this.#requestOf(rows), () => this.#whole())
      .then(() => {
        this.#isWriting = false;
        // The worker gets its next batch before others do what they waited for.
        if (this.#isDue) this.#begin();
        this.#settle(batch);
      });
  }

  #settle(batch: number): void {
    this.#durable = Math.max(this.#durable, batch);
    for (const listener of [...this.#listeners]) listener.durable(this.#durable);
  }

  #whole(): WriteRequest {
    const rows = [...this.#source.wanted()];
    for (const row of rows) row.isWritten = false;
    return { ...this.#requestOf(rows), isWhole: true };
  }

  #requestOf(rows: Iterable<Row>): WriteRequest {
    const changes: { [T in Table]?: { rows: Value[]; removed: number[] } } = {};
    const newMessages: MessageRow[] = [];
    const removedMessages: number[] = [];
    for (const row of rows) {
      if (row instanceof TableRow) {
        changes[row.table] ??= { rows: [], removed: [] };
        const table = changes[row.table] as { rows: Value[]; removed: number[] };
        if (row.isWanted) row.addTo(table.rows);
        else table.removed.push(row.id);
      } else if (!row.isWanted) {
        removedMessages.push(row.id);
      } else if (!row.isWritten) {
        newMessages.push(row as MessageRow);
      }
      row.isWritten = row.isWanted;
    }
    return {
      kind: "write",
      changes,
      messages: toColumns(newMessages.map(({ message }) => message)),
      messageRowIds: newMessages.map(({ id }) => id),
      removedMessages,
      storedUpTo: this.#source.storedUpTo(),
      isWhole: false,
    };
  }
}
