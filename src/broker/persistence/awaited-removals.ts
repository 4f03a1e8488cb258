// QoS 2 messages that clients have had, and that a plugin's store may hold still.
//
// PUBCOMP ends a delivery, but a kill before the store has removed the message would have it sent once more, as a new
// one. So the delivery's row stays until the removal is durable; a broker that finds it at its start says again that
// the message is acknowledged. There are as many as acknowledgements whose removal is under way.

import type { MessageId } from "../../mqtt/message-id.ts";
import type { DeliveryRow } from "./rows.ts";

export class AwaitedRemovals {
  readonly #rows = new Map<MessageId, DeliveryRow[]>();

  add(row: DeliveryRow): void {
    const { id } = row.message.message;
    const rows = this.#rows.get(id);
    if (rows === undefined) this.#rows.set(id, [row]);
    else rows.push(row);
  }

  has(row: DeliveryRow): boolean {
    return this.#rows.get(row.message.message.id)?.includes(row) ?? false;
  }

  /** The message is removed: returns the rows that waited for that. */
  take(message: MessageId): readonly DeliveryRow[] {
    const rows = this.#rows.get(message) ?? [];
    this.#rows.delete(message);
    return rows;
  }
}
