// Will Messages: published when a connection ends without its client's word, at once or after the Will Delay Interval.

import type { Will } from "../mqtt/codec/packets.ts";
import type { Message } from "../mqtt/message.ts";
import type { MessageIdGenerator } from "../mqtt/message-id.ts";
import { messageProperties } from "./message-properties.ts";
import type { Metrics } from "./metrics.ts";
import type { Persistence } from "./persistence/persistence.ts";
import type { SavedWill, WillRow } from "./persistence/rows.ts";
import { type PublishContext, PublishPipeline } from "./publish-pipeline.ts";
import type { Session } from "./session.ts";

interface WillsContext extends PublishContext {
  readonly ids: MessageIdGenerator;
  readonly metrics: Metrics;
  readonly persistence: Persistence;
  /** Ms since the epoch. */
  now(): number;
}

/** The will of a client, from its CONNECT on. */
export interface RegisteredWill extends SavedWill {
  /** Where it is kept in broker.db, if it is. */
  readonly saved: WillRow | undefined;
}

interface DelayedWill {
  readonly will: RegisteredWill;
  /** Ms since the epoch. */
  readonly dueAt: number;
}

export class Wills {
  readonly #context: WillsContext;
  readonly #delayed = new Map<Session, DelayedWill>();
  readonly #pipeline: PublishPipeline;

  constructor(context: WillsContext) {
    this.#context = context;
    this.#pipeline = new PublishPipeline(context);
  }

  /** A client has connected with this will; it must be published or discarded. */
  register(clientId: string, { topic, qos, retain, payload, properties }: Will): RegisteredWill {
    const will: SavedWill = {
      clientId,
      topic,
      qos,
      retain,
      payload,
      properties: messageProperties(properties),
      delay: properties?.willDelayInterval ?? 0,
      expiryInterval: properties?.messageExpiryInterval,
    };
    return { ...will, saved: this.#context.persistence.keepWill(will) };
  }

  /** The connection is gone; without `withWill` the client has said goodbye. `pipeline` as in `publish`. */
  disconnected(session: Session, will: RegisteredWill, withWill: boolean, pipeline: PublishPipeline | undefined): void {
    const delay = Math.min(will.delay, session.expiryInterval);
    if (!withWill) this.discard(will);
    else if (delay > 0) this.publishLater(session, will, delay);
    else this.publish(will, pipeline);
  }

  discard({ saved }: RegisteredWill): void {
    if (saved !== undefined) this.#context.persistence.endWill(saved);
  }

  /** Publishes it now; `pipeline` is that of the connection, so that it comes after the client's own publishes. */
  publish(will: RegisteredWill, pipeline: PublishPipeline = this.#pipeline): void {
    this.#context.metrics.willsPublished += 1;
    pipeline.publish(this.#messageOf(will), 0, { settle: () => this.discard(will) });
  }

  /** Publishes it after so many seconds, or when the session ends, unless the client is back before. */
  publishLater(session: Session, will: RegisteredWill, delay: number): void {
    const dueAt = this.#context.now() + delay * 1000;
    if (will.saved !== undefined) this.#context.persistence.willDelayed(will.saved, dueAt);
    this.restore(session, will, dueAt);
  }

  /** A will that was delayed by a broker before this one. `dueAt` in ms since the epoch. */
  restore(session: Session, will: RegisteredWill, dueAt: number): void {
    this.#delayed.set(session, { will, dueAt });
  }

  /** The client is back: its will is not published any more [MQTT-3.1.3-9], unless it is due already. */
  cancel(session: Session): void {
    const delayed = this.#delayed.get(session);
    if (delayed === undefined) return;
    this.#delayed.delete(session);
    if (delayed.dueAt <= this.#context.now()) this.publish(delayed.will);
    else this.discard(delayed.will);
  }

  /** The session has ended. */
  publishAtSessionEnd(session: Session): void {
    const delayed = this.#delayed.get(session);
    if (delayed === undefined) return;
    this.#delayed.delete(session);
    this.publish(delayed.will);
  }

  publishDue(now: number): void {
    for (const [session, { dueAt }] of this.#delayed) if (dueAt <= now) this.publishAtSessionEnd(session);
  }

  /** The broker stops: publishes those that do not outlive it. */
  publishUnsaved(): void {
    for (const [session, { will }] of this.#delayed) if (will.saved === undefined) this.publishAtSessionEnd(session);
  }

  #messageOf({ clientId, topic, qos, retain, payload, properties, expiryInterval }: RegisteredWill): Message {
    const now = this.#context.now();
    return {
      id: this.#context.ids.next(),
      from: clientId,
      topic,
      qos,
      retain,
      payload,
      timestamp: now,
      expiresAt: expiryInterval === undefined ? undefined : now + expiryInterval * 1000,
      properties,
    };
  }
}
