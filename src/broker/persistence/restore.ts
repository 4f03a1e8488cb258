// Makes sessions, wills and retained messages of what broker.db holds, before the broker listens.
//
// Rows whose session or message is missing (a file that was edited or damaged) are removed.

import type { QoS } from "../../mqtt/message.ts";
import { isMessageId, type MessageId, timestampOf } from "../../mqtt/message-id.ts";
import type { SubscriptionRequest } from "../../mqtt/subscription.ts";
import type { PacketIdOfMessage } from "../../plugin/hooks.ts";
import { fromColumns } from "../../sqlite/message-columns.ts";
import type { BrokerContext } from "../context.ts";
import type { Delivery } from "../delivery.ts";
import { Session } from "../session.ts";
import { SessionSubscription } from "../session-subscription.ts";
import type { DatabaseLink } from "./database-link.ts";
import type { LastIds } from "./persistence.ts";
import type { Value } from "./protocol.ts";
import {
  DeliveryRow,
  type DeliveryState,
  IncomingPublishRow,
  MessageRow,
  RetainedRow,
  SessionRow,
  StrayRow,
  SubscriptionRow,
  WillRow,
} from "./rows.ts";
import { COLUMNS, type Table } from "./schema.ts";

/** Packet Identifiers that the plugin's store is asked for at once. */
const PACKET_IDS_PAGE = 1_000;

interface RestoredDelivery {
  readonly delivery: Delivery;
  readonly row: DeliveryRow;
}

interface RestoredSession {
  readonly session: Session;
  readonly row: SessionRow;
  readonly subscriptions: Map<number, SessionSubscription>;
  readonly deliveries: RestoredDelivery[];
}

/** Rejects with `BrokerDatabaseError`. */
export async function restore(context: BrokerContext, database: DatabaseLink): Promise<void> {
  await new Restoration(context, database).run();
}

class Restoration {
  readonly #context: BrokerContext;
  readonly #database: DatabaseLink;
  readonly #messages = new Map<number, MessageRow>();
  readonly #sessions = new Map<number, RestoredSession>();
  readonly #last: Record<keyof LastIds, number> = {
    session: 0,
    subscription: 0,
    delivery: 0,
    message: 0,
    will: 0,
    sent: 0,
  };

  constructor(context: BrokerContext, database: DatabaseLink) {
    this.#context = context;
    this.#database = database;
  }

  async run(): Promise<void> {
    const watermark = await this.#readWatermark();
    if (watermark !== undefined) this.#context.persistence.storedUpTo(watermark);
    await this.#readMessages();
    await this.#read("session", (values) => this.#session(values));
    await this.#read("subscription", (values) => this.#subscription(values));
    await this.#read("delivery", (values) => this.#delivery(values));
    await this.#read("incoming_publish", (values) => this.#incomingPublish(values));
    await this.#read("retained", (values) => this.#retained(values));
    this.#context.persistence.useIdsAbove(this.#last);
    if (watermark !== undefined) await this.#readPacketIdsOfPlugin(watermark);
    for (const restored of this.#sessions.values()) this.#putInOrder(restored);
    // Last: a will that is due is published.
    await this.#read("will", (values) => this.#will(values));
    this.#context.persistence.useIdsAbove({ will: this.#last.will });
    const { logger, retained } = this.#context;
    const found = { sessions: this.#sessions.size, messages: this.#messages.size, retained: retained.size };
    if (found.sessions + found.messages > 0) logger.info(found, "sessions and messages are taken up again");
    for (const row of this.#messages.values()) if (row.users === 0) this.#context.persistence.discard(row);
  }

  async #readWatermark(): Promise<MessageId | undefined> {
    const { rows } = await this.#database.read({ kind: "read", table: "watermark", after: 0 });
    const [watermark] = rows as MessageId[];
    // What is published from now on comes after it, even if the clock has stepped back.
    if (watermark !== undefined) this.#context.ids.advancePast(watermark);
    return watermark;
  }

  async #readMessages(): Promise<void> {
    let after: number | undefined = 0;
    while (after !== undefined) {
      const page = await this.#database.read({ kind: "read", table: "message", after });
      const messages = page.messages === undefined ? [] : fromColumns(page.messages);
      for (const [at, message] of messages.entries()) {
        const row = new MessageRow(this.#highest("message", page.rows[at] as number), message);
        this.#context.persistence.adoptMessage(row);
        if (message.id !== "") this.#context.ids.advancePast(message.id);
        this.#messages.set(row.id, row);
      }
      after = page.next;
    }
  }

  async #read(table: Table, make: (values: readonly Value[]) => void): Promise<void> {
    const width = COLUMNS[table].length;
    let after: number | undefined = 0;
    while (after !== undefined) {
      const page = await this.#database.read({ kind: "read", table, after });
      for (let at = 0; at < page.rows.length; at += width) make(page.rows.slice(at, at + width));
      after = page.next;
    }
  }

  #session(values: readonly Value[]): void {
    const [id, clientId, isAssigned, expiryInterval, expiresAt, beganAfter] = values as SessionValues;
    // Its row was given its first id when the session began.
    const createdAt = isMessageId(beganAfter) ? Number(timestampOf(beganAfter) / 1000n) : undefined;
    const session = new Session(this.#context, clientId, isAssigned === 1, createdAt);
    session.expiryInterval = expiryInterval ?? Number.POSITIVE_INFINITY;
    // A client that was connected when the broker was killed is away from now on.
    session.expiresAt = expiresAt ?? this.#context.now() + session.expiryInterval * 1000;
    const row = new SessionRow(this.#highest("session", id), session, beganAfter);
    this.#context.persistence.adoptRoot(row);
    session.saved = row;
    this.#context.sessions.restore(session);
    if (expiresAt === null) this.#context.persistence.keepSession(session);
    this.#sessions.set(id, { session, row, subscriptions: new Map(), deliveries: [] });
  }

  #subscription(values: readonly Value[]): void {
    const [id, sessionId, topicFilter, qos, noLocal, retainAsPublished, retainHandling, identifier] =
      values as SubscriptionValues;
    this.#highest("subscription", id);
    const restored = this.#sessions.get(sessionId);
    if (restored === undefined) {
      this.#discard("subscription", id);
      return;
    }
    const request: SubscriptionRequest = {
      topicFilter,
      qos,
      noLocal: noLocal === 1,
      retainAsPublished: retainAsPublished === 1,
      retainHandling,
      subscriptionIdentifier: identifier ?? undefined,
    };
    const { subscription } = this.#context.router.subscribe(restored.session, request);
    const row = new SubscriptionRow(id, restored.row, subscription);
    subscription.saved = row;
    restored.subscriptions.set(id, subscription);
    this.#context.persistence.adoptPart(row);
  }

  #delivery(values: readonly Value[]): void {
    const [id, sessionId, subscriptionId, messageId, qos, retain, identifiers, stored, retained, ...sending] =
      values as DeliveryValues;
    const [packetId, state, sent] = sending;
    this.#highest("delivery", id);
    if (sent !== null) this.#highest("sent", sent);
    const restored = this.#sessions.get(sessionId);
    const messageRow = this.#messages.get(messageId);
    if (restored === undefined || messageRow === undefined) {
      this.#discard("delivery", id);
      return;
    }
    const { session } = restored;
    const delivery: Delivery = {
      message: messageRow.message,
      qos,
      retain: retain === 1,
      subscriptionIdentifiers: identifiers === null ? undefined : identifiers.split(",").map(Number),
      subscription: restored.subscriptions.get(subscriptionId) ?? endedSubscription(session, messageRow),
      stored: stored === 1,
      retained: retained === 1,
      saved: undefined,
    };
    const row = new DeliveryRow(id, restored.row, messageRow, delivery);
    row.packetId = packetId ?? 0;
    row.state = state;
    row.sent = sent ?? 0;
    delivery.saved = row;
    this.#context.persistence.adoptPart(row);
    restored.deliveries.push({ delivery, row });
  }

  #incomingPublish(values: readonly Value[]): void {
    const [id, sessionId, packetId] = values as [number, number, number];
    const restored = this.#sessions.get(sessionId);
    if (restored === undefined) {
      this.#discard("incoming_publish", id);
      return;
    }
    const row = new IncomingPublishRow(restored.row, packetId);
    this.#context.persistence.adoptPart(row);
    restored.session.incoming.restore(packetId, row);
  }

  #retained(values: readonly Value[]): void {
    const [messageId, stored] = values as [number, number];
    const messageRow = this.#messages.get(messageId);
    if (messageRow === undefined) {
      this.#discard("retained", messageId);
      return;
    }
    const saved = new RetainedRow(messageRow, stored === 1);
    this.#context.persistence.adoptRoot(saved);
    this.#context.retained.restore({ message: messageRow.message, stored: stored === 1, saved });
  }

  /** In flight in the order of the first sending, and the queue in publish order. */
  #putInOrder({ session, deliveries }: RestoredSession): void {
    const inFlight = deliveries
      .filter(({ row }) => row.packetId > 0)
      .sort((left, right) => left.row.sent - right.row.sent);
    for (const { delivery, row } of inFlight) {
      session.inflight.restore(row.packetId, delivery, row.state === "released" ? "released" : "published");
    }
    const queued: Delivery[] = [];
    for (const { delivery, row } of deliveries) {
      if (row.state !== "queued") continue;
      // Whichever member comes first gets it from the plugin's store.
      if (this.#context.hooks.active && delivery.stored && delivery.subscription.group !== undefined)
        session.letGo(delivery);
      else queued.push(delivery);
    }
    session.queue.merge(queued);
    for (const restored of deliveries) this.#acknowledgeAgain(session, restored);
  }

  /** The plugin's store may not have removed yet what the client has had. */
  #acknowledgeAgain({ clientId }: Session, { delivery, row }: RestoredDelivery): void {
    const { hooks, persistence } = this.#context;
    if (!delivery.stored || (row.state !== "released" && row.state !== "completed")) return;
    if (hooks.active) {
      persistence.awaitRemoval(row);
      hooks.messageAcked(clientId, delivery.message);
    } else if (row.state === "completed") {
      persistence.endDelivery(delivery);
    }
  }

  /**
   * Those whose message was stored, and which were not here yet when the broker was killed: it was not routed either,
   * or nobody knows any more, and its publisher will only hear that it was taken.
   */
  async #readPacketIdsOfPlugin(watermark: MessageId): Promise<void> {
    let after: MessageId | undefined = watermark;
    while (after !== undefined) {
      const page = await this.#context.hooks.listPacketIds(after, PACKET_IDS_PAGE);
      for (const one of page) this.#packetIdOfPlugin(one);
      after = page.at(-1)?.message.id;
    }
    this.#context.persistence.publishEnded(watermark);
  }

  #packetIdOfPlugin({ message, packetId }: PacketIdOfMessage): void {
    const { hooks, persistence, retained, router, sessions } = this.#context;
    const session = sessions.get(message.from);
    if (session?.saved === undefined || message.id <= session.saved.beganAfter) return;
    if (session.incoming.get(packetId) !== undefined) return;
    if (!persistence.holdsMessage(message.id)) {
      if (message.retain) retained.set(message, true);
      hooks.messageRouted(message, router.route(message, true).missed);
    }
    session.incoming.restore(packetId, persistence.keepIncomingPublish(session, packetId, message.id));
  }

  #will(values: readonly Value[]): void {
    const [id, clientId, messageId, delay, expiryInterval, dueAt] = values as WillValues;
    this.#highest("will", id);
    const messageRow = this.#messages.get(messageId);
    if (messageRow === undefined) {
      this.#discard("will", id);
      return;
    }
    const { topic, qos, retain, payload, properties } = messageRow.message;
    const will = {
      clientId,
      topic,
      qos,
      retain,
      payload,
      properties,
      delay,
      expiryInterval: expiryInterval ?? undefined,
    };
    const saved = new WillRow(id, messageRow, will);
    this.#context.persistence.adoptRoot(saved);
    saved.dueAt = dueAt ?? undefined;
    const { sessions, wills } = this.#context;
    const session = sessions.get(clientId);
    const registered = { ...will, saved };
    if (session === undefined) wills.publish(registered);
    else if (dueAt !== null) wills.restore(session, registered, dueAt);
    else wills.publishLater(session, registered, Math.min(delay, session.expiryInterval));
  }

  #discard(table: Table, id: number): void {
    this.#context.persistence.discard(new StrayRow(table, id));
  }

  #highest(of: keyof LastIds, id: number): number {
    this.#last[of] = Math.max(this.#last[of], id);
    return id;
  }
}

/** Stands for the subscription of a delivery that was owed when that ended. */
function endedSubscription(session: Session, { message: { topic, qos } }: MessageRow): SessionSubscription {
  return new SessionSubscription(session, {
    topicFilter: topic,
    qos,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 2,
  });
}

type Bit = 0 | 1;
type SessionValues = [
  id: number,
  clientId: string,
  assigned: Bit,
  expiryInterval: number | null,
  expiresAt: number | null,
  beganAfter: MessageId,
];
type SubscriptionValues = [
  id: number,
  session: number,
  topicFilter: string,
  qos: QoS,
  noLocal: Bit,
  retainAsPublished: Bit,
  retainHandling: 0 | 1 | 2,
  subscriptionIdentifier: number | null,
];
type DeliveryValues = [
  id: number,
  session: number,
  subscription: number,
  message: number,
  qos: QoS,
  retain: Bit,
  subscriptionIdentifiers: string | null,
  stored: Bit,
  retained: Bit,
  packetId: number | null,
  state: DeliveryState,
  sent: number | null,
];
type WillValues = [
  id: number,
  clientId: string,
  message: number,
  delay: number,
  expiryInterval: number | null,
  dueAt: number | null,
];
