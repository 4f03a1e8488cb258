// Remembers in which rows messages are, so that an acknowledged one is removed by its primary key.
//
// The table of EMQX's plugin has no index on `msgid`: without the row's id each removal would read the whole table.

import type { MessageId } from "../../mqtt/message-id.ts";

/** Messages of each of the two generations: those read or saved last. */
const GENERATION = 32_768;

export interface RowId {
  readonly rowId: number;
  /** It was read; otherwise it follows from the first id of the statement that saved it. */
  readonly wasRead: boolean;
}

export class RowIds {
  /** A row that was read by its id, any other by its negative. */
  #young = new Map<MessageId, number>();
  #old = new Map<MessageId, number>();

  /** Its number alone, for what is asked for each message. */
  rowIdOf(id: MessageId): number | undefined {
    const kept = this.#kept(id);
    return kept === undefined ? undefined : Math.abs(kept);
  }

  get(id: MessageId): RowId | undefined {
    const kept = this.#kept(id);
    return kept === undefined ? undefined : { rowId: Math.abs(kept), wasRead: kept > 0 };
  }

  #kept(id: MessageId): number | undefined {
    return this.#young.get(id) ?? this.#old.get(id);
  }

  set(id: MessageId, { rowId, wasRead }: RowId): void {
    if (this.#old.size > 0) this.#old.delete(id);
    if (this.#young.size >= GENERATION) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(id, wasRead ? rowId : -rowId);
  }

  delete(id: MessageId): void {
    this.#young.delete(id);
    this.#old.delete(id);
  }
}
