// The way of one client's publishes: stored, routed, acknowledged, each step in the order of arrival.
//
// A publish for which the hook answers at once, with nothing waiting before it, passes through without a trace here.
// Others wait in line: the first in line is routed and acknowledged in the turn in which its hook settles, together
// with those behind it that have settled already [MQTT-4.6.0-2]. A line outlives its connection: what is being stored
// when the client goes is still routed, only not answered.

import { Fifo } from "../mqtt/fifo.ts";
import type { Message, QoS } from "../mqtt/message.ts";
import { messageBytes } from "../mqtt/message-size.ts";
import { ReasonCode } from "../mqtt/reason-code.ts";
import type { RepeatedWarning } from "../mqtt/repeated-warning.ts";
import { SYS_PREFIX } from "../mqtt/topic.ts";
import type { PublishResult, Refusal } from "../plugin/hooks.ts";
import type { HookRunner } from "./hook-runner.ts";
import type { IncomingPublish, IncomingPublishes, PublishOutcome } from "./incoming-publishes.ts";
import type { Metrics } from "./metrics.ts";
import type { Persistence } from "./persistence/persistence.ts";
import type { RetainedMessages } from "./retained.ts";
import type { Router } from "./router.ts";

/** What a client gets for a publish to a topic of the server's own. */
export const RESERVED_TOPIC: Refusal = {
  temporary: false,
  delayClose: false,
  onUnstorable: "acknowledge",
  reasonCode: ReasonCode.NotAuthorized,
  reasonString: "Topics that begin with $SYS/ are the server's own.",
};

export interface PublishContext {
  readonly hooks: HookRunner;
  readonly router: Router;
  readonly retained: RetainedMessages;
  readonly metrics: Metrics;
  readonly persistence: Persistence;
  readonly willRefused: RepeatedWarning;
}

/**
 * How a refusal was told to the client:
 * - `refused`: with its reason code.
 * - `acknowledged`: as if it had been taken.
 * - `closed`: by closing the connection; nothing more is answered.
 */
export type RefusalAnswer = "refused" | "acknowledged" | "closed";

/** Is told what became of a publish. */
export interface Publisher {
  settle(outcome: PublishOutcome): void;
}

/** Tells the publisher. */
export interface PublishAnswers {
  /** What is answered from now on leaves when all that has changed so far is saved. */
  hold(): void;
  /** PUBACK or PUBREC; QoS 0 is answered only where it was given a Packet Identifier all the same. */
  acknowledge(qos: QoS, packetId: number, reasonCode: ReasonCode): void;
  refuse(qos: QoS, packetId: number, topic: string, refusal: Refusal): RefusalAnswer;
  /** Something has left the line. */
  moved(): void;
}

interface Waiting {
  /** Absent: a QoS 2 publish that was sent again. */
  readonly message: Message | undefined;
  readonly topic: string;
  readonly qos: QoS;
  /** 0: nothing to answer. */
  readonly packetId: number;
  readonly publisher: Publisher | undefined;
  result: PublishResult | undefined;
}

export class PublishPipeline {
  readonly #context: PublishContext;
  readonly #incoming: IncomingPublishes | undefined;
  #answers: PublishAnswers | undefined;
  readonly #line = new Fifo<Waiting>();
  #moving = false;
  #unanswered = 0;
  #bytes = 0;

  /** `answers` and `incoming` are absent where there is nobody to answer. */
  constructor(context: PublishContext, answers?: PublishAnswers, incoming?: IncomingPublishes) {
    this.#context = context;
    this.#answers = answers;
    this.#incoming = incoming;
  }

  /** Publishes that wait, QoS 0 among them. */
  get length(): number {
    return this.#line.length;
  }

  /** QoS 1 and 2 publishes that wait for their PUBACK or PUBREC. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** Bytes of the publishes that wait: payload, topic and properties. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `packetId` is 0 where nothing is to be answered. */
  publish(message: Message, packetId: number, publisher?: Publisher): void {
    const { qos, topic } = message;
    const result = this.#ask(message, qos === 2 && this.#incoming?.isSaved ? packetId : undefined);
    if (!(result instanceof Promise)) {
      if (this.#line.length === 0 && !this.#moving) this.#finish(message, topic, qos, packetId, publisher, result);
      else this.#wait({ message, topic, qos, packetId, publisher, result });
      return;
    }
    const waiting: Waiting = { message, topic, qos, packetId, publisher, result: undefined };
    this.#wait(waiting);
    result.then((settled) => {
      waiting.result = settled;
      this.#move();
    });
  }

  /** The client has sent a QoS 2 publish again that it has not released: it is answered, and nothing else. */
  repeat(topic: string, packetId: number, incoming: IncomingPublish): void {
    const waiting: Waiting = { message: undefined, topic, qos: 2, packetId, publisher: undefined, result: undefined };
    this.#wait(waiting);
    if (incoming.isTaken) {
      waiting.result = "pass";
      this.#move();
      return;
    }
    incoming.whenSettled((outcome: PublishOutcome) => {
      waiting.result = outcome ?? "pass";
      this.#move();
    });
  }

  /** The connection is gone: nothing more is answered. */
  stopAnswering(): void {
    this.#answers = undefined;
  }

  #ask(message: Message, packetId: number | undefined): PublishResult | Promise<PublishResult> {
    if (message.topic.startsWith(SYS_PREFIX)) {
      this.#context.metrics.publishesToReserved += 1;
      return RESERVED_TOPIC;
    }
    return message.qos === 0 ? "pass" : this.#context.hooks.messagePublish(message, packetId);
  }

  #wait(waiting: Waiting): void {
    this.#line.push(waiting);
    this.#context.metrics.publishesWaiting += 1;
    if (waiting.packetId !== 0) this.#unanswered += 1;
    if (waiting.message !== undefined) this.#bytes += messageBytes(waiting.message);
  }

  /** Finishes what has settled, up to the first that has not. */
  #move(): void {
    if (this.#moving) return;
    this.#moving = true;
    for (let first = this.#line.peek(); first?.result !== undefined; first = this.#line.peek()) {
      this.#line.shift();
      this.#context.metrics.publishesWaiting -= 1;
      if (first.packetId !== 0) this.#unanswered -= 1;
      if (first.message !== undefined) this.#bytes -= messageBytes(first.message);
      this.#finish(first.message, first.topic, first.qos, first.packetId, first.publisher, first.result);
    }
    this.#moving = false;
    this.#answers?.moved();
  }

  #finish(
    message: Message | undefined,
    topic: string,
    qos: QoS,
    packetId: number,
    publisher: Publisher | undefined,
    result: PublishResult,
  ): void {
    if (typeof result === "object") {
      this.#refuse(topic, qos, packetId, publisher, result, message);
      return;
    }
    const { persistence } = this.#context;
    const changes = persistence.changes;
    const reasonCode = message === undefined ? ReasonCode.Success : this.#route(message, result === "stored");
    if (packetId !== 0) {
      if (message !== undefined && publisher !== undefined) this.#incoming?.take(packetId, publisher, message.id);
      // Nothing is acknowledged that could still be lost. What was sent again may have changed something the first time.
      if (message === undefined || persistence.changes !== changes) this.#answers?.hold();
      this.#answers?.acknowledge(qos, packetId, reasonCode);
    }
    publisher?.settle(undefined);
  }

  #route(message: Message, stored: boolean): ReasonCode {
    const { hooks, retained, router, metrics } = this.#context;
    if (message.retain) retained.set(message, stored);
    const { matched, missed } = router.route(message, stored);
    if (stored) hooks.messageRouted(message, missed);
    if (matched > 0) return ReasonCode.Success;
    metrics.publishesWithoutSubscriber += 1;
    return stored ? ReasonCode.Success : ReasonCode.NoMatchingSubscribers;
  }

  #refuse(
    topic: string,
    qos: QoS,
    packetId: number,
    publisher: Publisher | undefined,
    refusal: Refusal,
    message: Message | undefined,
  ): void {
    if (packetId === 0) {
      publisher?.settle(refusal);
      // QoS 0 has no answer.
      if (qos === 0) return;
      const { reasonCode, reasonString } = refusal;
      this.#context.metrics.willsRefused += 1;
      this.#context.willRefused.warn({ clientId: message?.from, topic, reasonCode, reasonString });
      return;
    }
    if (message !== undefined && refusal !== RESERVED_TOPIC) this.#context.metrics.publishesRefused += 1;
    const answer = this.#answers?.refuse(qos, packetId, topic, refusal);
    if (answer === "closed") this.#answers = undefined;
    if (answer === "acknowledged") {
      publisher?.settle(undefined);
      return;
    }
    if (publisher !== undefined && this.#incoming?.get(packetId) === publisher) this.#incoming.release(packetId);
    publisher?.settle(refusal);
  }
}
