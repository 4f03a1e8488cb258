// The rows of broker.db as the broker holds them: what each stands for, and whether the file has it already.

import type { Message, MessageProperties } from "../../mqtt/message.ts";
import type { MessageId } from "../../mqtt/message-id.ts";
import type { Delivery } from "../delivery.ts";
import type { Session } from "../session.ts";
import type { SessionSubscription } from "../session-subscription.ts";
import type { Value } from "./protocol.ts";
import type { Table } from "./schema.ts";

/** Session ids times this, plus a Packet Identifier: the row id of an incoming publish. */
export const PACKET_IDS = 65_536;

export abstract class Row {
  abstract readonly table: Table | "message";
  readonly id: number;
  /** It is to be in the file. */
  isWanted = true;
  /** It is in the file, or in the batch that is being written. */
  isWritten = false;

  constructor(id: number) {
    this.id = id;
  }
}

/** A row of any table but `message`. */
export abstract class TableRow extends Row {
  abstract override readonly table: Table;
  /** Adds the row's values to a batch, in the order of the table's columns. */
  abstract addTo(values: Value[]): void;
}

/** A row of the file that nothing can be made of. */
export class StrayRow extends TableRow {
  readonly table: Table;

  constructor(table: Table, id: number) {
    super(id);
    this.table = table;
  }

  addTo(): void {}
}

export class MessageRow extends Row {
  readonly table = "message";
  readonly message: Message;
  /** How many rows need it. */
  users = 0;

  constructor(id: number, message: Message) {
    super(id);
    this.message = message;
  }
}

export class SessionRow extends TableRow {
  readonly table = "session";
  readonly #session: Session;
  /** Messages up to this id were published by an earlier session of the client. */
  readonly beganAfter: MessageId;
  /** What goes with the session. */
  readonly parts = new Set<SubscriptionRow | DeliveryRow | IncomingPublishRow>();

  constructor(id: number, session: Session, beganAfter: MessageId) {
    super(id);
    this.#session = session;
    this.beganAfter = beganAfter;
  }

  addTo(values: Value[]): void {
    const { clientId, clientIdAssigned, expiryInterval, expiresAt, isConnected } = this.#session;
    values.push(this.id, clientId, clientIdAssigned ? 1 : 0, finite(expiryInterval));
    values.push(isConnected ? null : finite(expiresAt), this.beganAfter);
  }
}

export class SubscriptionRow extends TableRow {
  readonly table = "subscription";
  readonly session: SessionRow;
  readonly #subscription: SessionSubscription;

  constructor(id: number, session: SessionRow, subscription: SessionSubscription) {
    super(id);
    this.session = session;
    this.#subscription = subscription;
  }

  addTo(values: Value[]): void {
    const { topicFilter, qos, noLocal, retainAsPublished, retainHandling, subscriptionIdentifier } =
      this.#subscription.request;
    values.push(this.id, this.session.id, topicFilter, qos, noLocal ? 1 : 0, retainAsPublished ? 1 : 0);
    values.push(retainHandling, subscriptionIdentifier ?? null);
  }
}

/** `completed`: PUBCOMP has come; see awaited-removals.ts. */
export type DeliveryState = "queued" | "published" | "released" | "completed";

export class DeliveryRow extends TableRow {
  readonly table = "delivery";
  readonly session: SessionRow;
  readonly message: MessageRow;
  readonly #delivery: Delivery;
  /** 0: it was never sent. */
  packetId = 0;
  state: DeliveryState = "queued";
  /** Rises from one first sending to the next. */
  sent = 0;

  constructor(id: number, session: SessionRow, message: MessageRow, delivery: Delivery) {
    super(id);
    this.session = session;
    this.message = message;
    this.#delivery = delivery;
  }

  addTo(values: Value[]): void {
    const { qos, retain, subscriptionIdentifiers, subscription, stored, retained } = this.#delivery;
    const identifiers = subscriptionIdentifiers === undefined ? null : subscriptionIdentifiers.join(",");
    values.push(this.id, this.session.id, subscription.saved?.id ?? 0, this.message.id, qos, retain ? 1 : 0);
    values.push(identifiers, stored ? 1 : 0, retained ? 1 : 0, this.packetId === 0 ? null : this.packetId);
    values.push(this.state, this.sent === 0 ? null : this.sent);
  }
}

export class IncomingPublishRow extends TableRow {
  readonly table = "incoming_publish";
  readonly session: SessionRow;
  readonly packetId: number;

  constructor(session: SessionRow, packetId: number) {
    super(session.id * PACKET_IDS + packetId);
    this.session = session;
    this.packetId = packetId;
  }

  addTo(values: Value[]): void {
    values.push(this.id, this.session.id, this.packetId);
  }
}

export class RetainedRow extends TableRow {
  readonly table = "retained";
  readonly message: MessageRow;
  readonly #stored: boolean;

  constructor(message: MessageRow, stored: boolean) {
    super(message.id);
    this.message = message;
    this.#stored = stored;
  }

  addTo(values: Value[]): void {
    values.push(this.id, this.#stored ? 1 : 0);
  }
}

/** What a will's message has besides a message: it gets id, time and expiry when it is published. */
export interface SavedWill {
  readonly clientId: string;
  readonly topic: string;
  readonly qos: Message["qos"];
  readonly retain: boolean;
  readonly payload: Uint8Array;
  readonly properties: MessageProperties | undefined;
  /** Will Delay Interval, in seconds. */
  readonly delay: number;
  /** Message Expiry Interval, in seconds. */
  readonly expiryInterval: number | undefined;
}

export class WillRow extends TableRow {
  readonly table = "will";
  readonly message: MessageRow;
  readonly #will: SavedWill;
  /** Ms since the epoch; undefined: the client is connected. */
  dueAt: number | undefined;

  constructor(id: number, message: MessageRow, will: SavedWill) {
    super(id);
    this.message = message;
    this.#will = will;
  }

  addTo(values: Value[]): void {
    const { clientId, delay, expiryInterval } = this.#will;
    values.push(this.id, clientId, this.message.id, delay, expiryInterval ?? null, this.dueAt ?? null);
  }
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
