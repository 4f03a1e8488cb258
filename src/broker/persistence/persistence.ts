// What outlives the broker: its parts say here what they keep and what they let go of, and it goes to broker.db.
//
// Kept are sessions with a Session Expiry Interval, with their subscriptions, what they owe their clients and the
// QoS 2 publishes that these have not released; wills; and retained messages. Without a journal nothing is kept.

import type { Message } from "../../mqtt/message.ts";
import type { MessageId, MessageIdGenerator } from "../../mqtt/message-id.ts";
import { detachPayload } from "../../mqtt/payload.ts";
import type { Delivery } from "../delivery.ts";
import type { Session } from "../session.ts";
import type { SessionSubscription } from "../session-subscription.ts";
import { AwaitedRemovals } from "./awaited-removals.ts";
import type { DatabaseLink } from "./database-link.ts";
import { type DurableListener, Journal } from "./journal.ts";
import {
  DeliveryRow,
  IncomingPublishRow,
  MessageRow,
  RetainedRow,
  type Row,
  type SavedWill,
  SessionRow,
  SubscriptionRow,
  WillRow,
} from "./rows.ts";

/** The highest row ids in use, and the highest `DeliveryRow.sent`. */
export type LastIds = Readonly<Record<"session" | "subscription" | "delivery" | "message" | "will" | "sent", number>>;

export class Persistence implements DurableListener {
  /** Undefined: nothing outlives the broker. */
  readonly journal: Journal | undefined;
  readonly #ids: MessageIdGenerator;
  readonly #lastIds = { session: 0, subscription: 0, delivery: 0, message: 0, will: 0, sent: 0 };
  readonly #messages = new Map<MessageId, MessageRow>();
  /** From which all other rows are reached. */
  readonly #roots = new Set<SessionRow | RetainedRow | WillRow>();
  /** An id below each publish whose Packet Identifier may be in the plugin's store and is not yet in the journal. */
  readonly #begun = new Set<MessageId>();
  /** QoS 2 publishes whose Packet Identifier is in the journal: the batch that takes it. */
  readonly #unsaved = new Map<MessageId, number>();
  readonly #awaitedRemovals = new AwaitedRemovals();
  #afterwards: { readonly batch: number; readonly run: () => void }[] = [];

  constructor(database: DatabaseLink | undefined, ids: MessageIdGenerator) {
    this.#ids = ids;
    if (database !== undefined) {
      this.journal = new Journal(database, { storedUpTo: () => this.#storedUpTo(), wanted: () => this.#wanted() });
      this.journal.addListener(this);
    }
  }

  /** Rises with each change: whether something changed anything is seen by comparing. */
  get changes(): number {
    return this.journal?.changes ?? 0;
  }

  /** What was read from the file at start uses row ids up to these. */
  useIdsAbove(last: Partial<LastIds>): void {
    Object.assign(this.#lastIds, last);
  }

  // Sessions.

  /** The session is new, connected, disconnected, or has another Session Expiry Interval. With 0 it is not kept. */
  keepSession(session: Session): void {
    if (this.journal === undefined) return;
    if (session.expiryInterval === 0) {
      this.endSession(session);
      return;
    }
    if (session.saved === undefined) {
      session.saved = new SessionRow(this.#nextId("session"), session, this.#ids.next());
      this.#roots.add(session.saved);
    }
    this.journal.change(session.saved);
  }

  endSession(session: Session): void {
    const row = session.saved;
    if (row === undefined) return;
    session.saved = undefined;
    for (const part of [...row.parts]) this.#endPart(part);
    this.#end(row);
  }

  /** The subscription is new, or has other options. */
  keepSubscription(subscription: SessionSubscription): void {
    const session = subscription.session.saved;
    if (session === undefined) return;
    if (subscription.saved === undefined) {
      subscription.saved = new SubscriptionRow(this.#nextId("subscription"), session, subscription);
      session.parts.add(subscription.saved);
    }
    this.journal?.change(subscription.saved);
  }

  endSubscription(subscription: SessionSubscription): void {
    if (subscription.saved !== undefined) this.#endPart(subscription.saved);
    subscription.saved = undefined;
  }

  // Messages to a client.

  /** The session owes its client the message. */
  keepDelivery({ saved: session }: Session, delivery: Delivery): void {
    if (session === undefined || delivery.saved !== undefined) return;
    const message = this.#messageRow(delivery.message);
    const row = new DeliveryRow(this.#nextId("delivery"), session, message, delivery);
    delivery.saved = row;
    session.parts.add(row);
    this.journal?.change(row);
  }

  /** It is sent for the first time. */
  deliverySent({ saved: row }: Delivery, packetId: number): void {
    if (row === undefined) return;
    row.packetId = packetId;
    row.state = "published";
    row.sent = this.#nextId("sent");
    this.journal?.change(row);
  }

  /** PUBREC has come. */
  deliveryReleased({ saved: row, stored }: Delivery): void {
    if (row === undefined || row.state === "released") return;
    row.state = "released";
    if (stored) this.#awaitedRemovals.add(row);
    this.journal?.change(row);
  }

  /** The client has it, or will never get it. */
  endDelivery(delivery: Delivery): void {
    const { saved: row } = delivery;
    delivery.saved = undefined;
    if (row === undefined) return;
    if (!this.#awaitedRemovals.has(row)) {
      this.#endPart(row);
      return;
    }
    row.state = "completed";
    row.packetId = 0;
    this.journal?.change(row);
  }

  /** A plugin's store does not hold the message any more. */
  messageRemoved(id: MessageId): void {
    for (const row of this.#awaitedRemovals.take(id)) if (row.state === "completed") this.#endPart(row);
  }

  // QoS 2 publishes of a client.

  /** To be called before the publish is handed to a plugin; what it returns goes to `publishEnded`. */
  publishBegun(): MessageId {
    const below = this.#ids.next();
    this.#begun.add(below);
    return below;
  }

  /** The publish was taken, and its Packet Identifier kept, or it was refused. */
  publishEnded(begun: MessageId): void {
    this.#begun.delete(begun);
  }

  /**
   * Publishes up to this id had their Packet Identifiers in the file when the broker started; those after it are only
   * known once `publishEnded` is called with it.
   */
  storedUpTo(watermark: MessageId): void {
    this.#begun.add(watermark);
  }

  /** The Packet Identifier of a publish that was taken. */
  keepIncomingPublish(
    { saved: session }: Session,
    packetId: number,
    message: MessageId,
  ): IncomingPublishRow | undefined {
    if (session === undefined || this.journal === undefined) return undefined;
    const row = new IncomingPublishRow(session, packetId);
    session.parts.add(row);
    this.journal.change(row);
    this.#unsaved.set(message, this.journal.barrier);
    return row;
  }

  /** The client has released it. */
  endIncomingPublish(row: IncomingPublishRow): void {
    this.#endPart(row);
  }

  /**
   * Calls `run` as soon as the message may be removed from a plugin's store: with it would go the Packet Identifier of
   * its publish, which must be in the file by then.
   */
  whenPublishSaved(message: MessageId, run: () => void): void {
    const batch = this.#unsaved.get(message);
    if (batch === undefined) run();
    else this.#afterwards.push({ batch, run });
  }

  // Retained messages and wills.

  keepRetained(message: Message, stored: boolean): RetainedRow | undefined {
    if (this.journal === undefined) return undefined;
    const row = new RetainedRow(this.#messageRow(message), stored);
    this.#roots.add(row);
    this.journal.change(row);
    return row;
  }

  endRetained(row: RetainedRow): void {
    this.#letGoOf(row.message);
    this.#end(row);
  }

  keepWill(will: SavedWill): WillRow | undefined {
    if (this.journal === undefined) return undefined;
    const { clientId, topic, qos, retain, payload, properties } = will;
    const message: Message = { id: "", from: clientId, topic, qos, retain, payload, timestamp: 0, properties };
    detachPayload(message);
    const messageRow = new MessageRow(this.#nextId("message"), message);
    messageRow.users = 1;
    this.journal.change(messageRow);
    const row = new WillRow(this.#nextId("will"), messageRow, will);
    this.#roots.add(row);
    this.journal.change(row);
    return row;
  }

  /** The will is to be published at this time; ms since the epoch. */
  willDelayed(row: WillRow, dueAt: number): void {
    row.dueAt = dueAt;
    this.journal?.change(row);
  }

  /** The will is published, or will not be. */
  endWill(row: WillRow): void {
    if (!row.isWanted) return;
    this.#letGoOf(row.message);
    this.#end(row);
  }

  // What was read from the file.

  /** The message's row is in the file; whoever uses it counts themselves. */
  adoptMessage(row: MessageRow): void {
    row.isWritten = true;
    detachPayload(row.message);
    if (row.message.id !== "") this.#messages.set(row.message.id, row);
  }

  adoptRoot(row: SessionRow | RetainedRow | WillRow): void {
    row.isWritten = true;
    this.#roots.add(row);
    if (!(row instanceof SessionRow)) row.message.users += 1;
  }

  adoptPart(row: SubscriptionRow | DeliveryRow | IncomingPublishRow): void {
    row.isWritten = true;
    row.session.parts.add(row);
    if (row instanceof DeliveryRow) row.message.users += 1;
  }

  /** Whether a row of the file needs the message: then it was routed. */
  holdsMessage(id: MessageId): boolean {
    return this.#messages.has(id);
  }

  /** A plugin is told again that the client has the message: until it is removed, the row stays. */
  awaitRemoval(row: DeliveryRow): void {
    this.#awaitedRemovals.add(row);
  }

  /** A row that nothing can be made of, or that nothing needs. */
  discard(row: Row): void {
    row.isWritten = true;
    if (row instanceof MessageRow) this.#messages.delete(row.message.id);
    this.#end(row);
  }

  /** Resolves when all is saved that has changed, with true, or after so many ms, with false. */
  saved(timeout: number): Promise<boolean> {
    const batch = this.journal?.barrier ?? 0;
    if (batch === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const waiting = {
        batch,
        run: () => {
          clearTimeout(timer);
          resolve(true);
        },
      };
      const timer = setTimeout(() => {
        this.#afterwards = this.#afterwards.filter((one) => one !== waiting);
        resolve(false);
      }, timeout);
      this.#afterwards.push(waiting);
    });
  }

  durable(batch: number): void {
    for (const [message, until] of this.#unsaved) {
      if (until > batch) break;
      this.#unsaved.delete(message);
    }
    const due = this.#afterwards.filter((one) => one.batch <= batch);
    if (due.length === 0) return;
    this.#afterwards = this.#afterwards.filter((one) => one.batch > batch);
    for (const { run } of due) run();
  }

  #endPart(row: SubscriptionRow | DeliveryRow | IncomingPublishRow): void {
    if (!row.session.parts.delete(row)) return;
    if (row instanceof DeliveryRow) this.#letGoOf(row.message);
    this.#end(row);
  }

  #end(row: Row): void {
    if (row instanceof SessionRow || row instanceof RetainedRow || row instanceof WillRow) this.#roots.delete(row);
    row.isWanted = false;
    this.journal?.change(row);
  }

  #messageRow(message: Message): MessageRow {
    let row = this.#messages.get(message.id);
    if (row === undefined) {
      detachPayload(message);
      row = new MessageRow(this.#nextId("message"), message);
      this.#messages.set(message.id, row);
      this.journal?.change(row);
    }
    row.users += 1;
    return row;
  }

  #letGoOf(row: MessageRow): void {
    row.users -= 1;
    if (row.users > 0) return;
    this.#messages.delete(row.message.id);
    this.#end(row);
  }

  #nextId(of: keyof LastIds): number {
    this.#lastIds[of] += 1;
    return this.#lastIds[of];
  }

  *#wanted(): Generator<Row> {
    for (const root of this.#roots) {
      yield root;
      if (root instanceof SessionRow) yield* root.parts;
      else if (root instanceof WillRow) yield root.message;
    }
    yield* this.#messages.values();
  }

  #storedUpTo(): MessageId {
    for (const below of this.#begun) return below;
    return this.#ids.next();
  }
}
