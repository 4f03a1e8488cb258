// Will Messages: published when a connection ends without its client's word, at once or after the Will Delay Interval.

import type { Will } from "../mqtt/codec/packets.ts";
import type { Message } from "../mqtt/message.ts";
import type { MessageIdGenerator } from "../mqtt/message-id.ts";
import { messageProperties } from "./message-properties.ts";
import type { Metrics } from "./metrics.ts";
import { type PublishContext, PublishPipeline } from "./publish-pipeline.ts";
import type { Session } from "./session.ts";

interface WillsContext extends PublishContext {
  readonly ids: MessageIdGenerator;
  readonly metrics: Metrics;
  /** Ms since the epoch. */
  now(): number;
}

interface DelayedWill {
  readonly will: Will;
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

  /** Publishes it now; `pipeline` is that of the connection, so that it comes after the client's own publishes. */
  publish(clientId: string, will: Will, pipeline: PublishPipeline = this.#pipeline): void {
    this.#context.metrics.willsPublished += 1;
    pipeline.publish(this.#messageOf(clientId, will), 0);
  }

  /** Publishes it after so many seconds, or when the session ends, unless the client is back before. */
  publishLater(session: Session, will: Will, delay: number): void {
    this.#delayed.set(session, { will, dueAt: this.#context.now() + delay * 1000 });
  }

  /** The client is back: its will is not published any more [MQTT-3.1.3-9], unless it is due already. */
  cancel(session: Session): void {
    const delayed = this.#delayed.get(session);
    if (delayed === undefined) return;
    this.#delayed.delete(session);
    if (delayed.dueAt <= this.#context.now()) this.publish(session.clientId, delayed.will);
  }

  /** The session has ended. */
  publishAtSessionEnd(session: Session): void {
    const delayed = this.#delayed.get(session);
    if (delayed === undefined) return;
    this.#delayed.delete(session);
    this.publish(session.clientId, delayed.will);
  }

  publishDue(now: number): void {
    for (const [session, { dueAt }] of this.#delayed) if (dueAt <= now) this.publishAtSessionEnd(session);
  }

  publishAll(): void {
    for (const session of this.#delayed.keys()) this.publishAtSessionEnd(session);
  }

  #messageOf(clientId: string, will: Will): Message {
    const now = this.#context.now();
    const expiry = will.properties?.messageExpiryInterval;
    return {
      id: this.#context.ids.next(),
      from: clientId,
      topic: will.topic,
      qos: will.qos,
      retain: will.retain,
      payload: will.payload,
      timestamp: now,
      expiresAt: expiry === undefined ? undefined : now + expiry * 1000,
      properties: messageProperties(will.properties),
    };
  }
}
