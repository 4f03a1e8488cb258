// The QoS 2 publishes of a client that it has not released yet: kept in its session, so that none is taken twice.
//
// A Packet Identifier is held from the PUBLISH until PUBREL (or until the publish is refused), across connections
// [MQTT-4.3.3-10]. Their number is bounded by the 65,535 Packet Identifiers.

import type { MessageId } from "../mqtt/message-id.ts";
import type { Refusal } from "../plugin/hooks.ts";
import type { Persistence } from "./persistence/persistence.ts";
import type { IncomingPublishRow } from "./persistence/rows.ts";
import type { Session } from "./session.ts";

/** What idle sessions have in common; never changed. */
const NO_PUBLISHES = new Map<number, IncomingPublish>();

/** The message was taken (undefined), or refused. */
export type PublishOutcome = Refusal | undefined;

export class IncomingPublish {
  /** The connection whose Receive Maximum it counts against; undefined once that is gone. */
  countedBy: object | undefined;
  /** The connection on which its PUBREC is still to be sent: one that comes again there needs no other. */
  awaitedBy: object | undefined;
  /** It was stored and routed; undefined while that is under way. */
  isTaken = false;
  /** Where it is kept in broker.db, if it is. */
  saved: IncomingPublishRow | undefined;
  readonly #settled: (() => void) | undefined;
  #repeats: ((outcome: PublishOutcome) => void)[] = [];

  /** `settled` is called when the publish is taken or refused. */
  constructor(countedBy: object | undefined, settled?: () => void) {
    this.countedBy = countedBy;
    this.awaitedBy = countedBy;
    this.#settled = settled;
  }

  /** The client has sent it again before it was settled: `answer` is called when it is. */
  whenSettled(answer: (outcome: PublishOutcome) => void): void {
    this.#repeats.push(answer);
  }

  settle(outcome: PublishOutcome): void {
    this.isTaken = outcome === undefined;
    this.#settled?.();
    const repeats = this.#repeats;
    this.#repeats = [];
    for (const answer of repeats) answer(outcome);
  }
}

export class IncomingPublishes {
  readonly #session: Session;
  readonly #persistence: Persistence;
  #byPacketId = NO_PUBLISHES;

  constructor(session: Session, persistence: Persistence) {
    this.#session = session;
    this.#persistence = persistence;
  }

  /** Whether its session outlives the broker. */
  get isSaved(): boolean {
    return this.#session.saved !== undefined;
  }

  get size(): number {
    return this.#byPacketId.size;
  }

  get(packetId: number): IncomingPublish | undefined {
    return this.#byPacketId.get(packetId);
  }

  /** To be called before the message of the publish is given its id. */
  begin(packetId: number, countedBy: object): IncomingPublish {
    const begun = this.#session.saved === undefined ? undefined : this.#persistence.publishBegun();
    const settled = begun === undefined ? undefined : () => this.#persistence.publishEnded(begun);
    const publish = new IncomingPublish(countedBy, settled);
    this.#put(packetId, publish);
    return publish;
  }

  /** The message was stored and routed: its Packet Identifier is kept in broker.db. */
  take(packetId: number, publish: object, message: MessageId): void {
    const held = this.#byPacketId.get(packetId);
    if (held === publish) held.saved = this.#persistence.keepIncomingPublish(this.#session, packetId, message);
  }

  /** A publish that was taken by a broker before this one. `saved` is its row, if it has one already. */
  restore(packetId: number, saved: IncomingPublishRow | undefined): void {
    const publish = new IncomingPublish(undefined);
    publish.saved = saved;
    publish.isTaken = true;
    this.#put(packetId, publish);
  }

  #put(packetId: number, publish: IncomingPublish): void {
    if (this.#byPacketId === NO_PUBLISHES) this.#byPacketId = new Map();
    this.#byPacketId.set(packetId, publish);
  }

  /** Frees the Packet Identifier; returns what it was used for. */
  release(packetId: number): IncomingPublish | undefined {
    const publish = this.#byPacketId.get(packetId);
    this.#byPacketId.delete(packetId);
    if (publish?.saved !== undefined) this.#persistence.endIncomingPublish(publish.saved);
    return publish;
  }
}
