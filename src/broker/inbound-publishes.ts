// What a client publishes over one connection: from PUBLISH to PUBACK or PUBCOMP, within its Receive Maximum.

import type { ProtocolVersion, PublishPacket } from "../mqtt/codec/packets.ts";
import type { Message } from "../mqtt/message.ts";
import { ReasonCode } from "../mqtt/reason-code.ts";
import { countLevels } from "../mqtt/topic.ts";
import type { Refusal } from "../plugin/hooks.ts";
import type { BrokerContext } from "./context.ts";
import { messageProperties } from "./message-properties.ts";
import { type PublishAnswers, PublishPipeline, RESERVED_TOPIC, type RefusalAnswer } from "./publish-pipeline.ts";
import type { Session } from "./session.ts";
import { InboundAliases } from "./topic-aliases.ts";

const NO_SUBSCRIBER = "Nobody has subscribed to the topic.";

/** What it needs of its connection. */
export interface PublisherLink {
  readonly version: ProtocolVersion;
  sendAck(type: "puback" | "pubrec" | "pubcomp", packetId: number, reasonCode: ReasonCode, reasonString?: string): void;
  /** What is sent from now on leaves when all that has changed so far is saved. */
  hold(): void;
  /** Whether more may be read has changed. */
  readingChanged(): void;
  /** The client broke a rule: DISCONNECT where the version has it, and the end. */
  abort(reasonCode: ReasonCode, reasonString: string): void;
  /** The end after so many seconds; nothing is read meanwhile. */
  closeAfter(delay: number): void;
}

export class InboundPublishes implements PublishAnswers {
  readonly pipeline: PublishPipeline;
  readonly #context: BrokerContext;
  readonly #session: Session;
  readonly #link: PublisherLink;
  readonly #aliases: InboundAliases;
  /** Stands for the connection in the session's QoS 2 publishes. */
  readonly #token = {};
  /** QoS 1 and 2 publishes that count against the Receive Maximum that the client was told. */
  #open = 0;

  constructor(context: BrokerContext, session: Session, link: PublisherLink) {
    this.#context = context;
    this.#session = session;
    this.#link = link;
    this.#aliases = new InboundAliases(context.options.maxTopicAliasBytes);
    this.pipeline = new PublishPipeline(context, this, session.incoming);
  }

  /** So much waits that nothing more is to be read. */
  get isFull(): boolean {
    const { receiveMaximum, maxUnansweredBytes } = this.#context.options;
    const { bytes, length, unanswered } = this.pipeline;
    // An MQTT 5 client is read on at its Receive Maximum: only so is it seen to exceed it.
    const maxUnanswered = this.#link.version < 5 ? receiveMaximum : receiveMaximum + 1;
    return bytes >= maxUnansweredBytes || unanswered >= maxUnanswered || length - unanswered >= receiveMaximum;
  }

  publish(packet: PublishPacket): void {
    const topic = this.#topicOf(packet);
    if (topic === undefined) return;
    const { options, metrics } = this.#context;
    metrics.messagesReceived[packet.qos] += 1;
    metrics.publishBytesReceived += packet.payload.length;
    if (countLevels(topic) > options.maxTopicLevels) {
      this.#link.abort(ReasonCode.TopicNameInvalid, `The topic has more than ${options.maxTopicLevels} levels.`);
      return;
    }
    if (packet.qos === 0) {
      this.pipeline.publish(this.#messageOf(packet, topic), 0);
      return;
    }
    const packetId = packet.packetId as number;
    const repeated = packet.qos === 2 ? this.#session.incoming.get(packetId) : undefined;
    if (repeated?.awaitedBy === this.#token) return;
    if (repeated?.countedBy !== this.#token && !this.#count()) return;
    if (repeated !== undefined) {
      repeated.countedBy = this.#token;
      repeated.awaitedBy = this.#token;
      this.pipeline.repeat(topic, packetId, repeated);
      return;
    }
    const incoming = packet.qos === 2 ? this.#session.incoming.begin(packetId, this.#token) : undefined;
    this.pipeline.publish(this.#messageOf(packet, topic), packetId, incoming);
  }

  /** PUBREL: the Packet Identifier is free again [MQTT-4.3.3-11]. */
  release(packetId: number): void {
    const { incoming } = this.#session;
    const publish = incoming.get(packetId);
    if (publish === undefined || !publish.isTaken) {
      const reasonString = `No message with Packet Identifier ${packetId} waits for PUBREL.`;
      this.#link.sendAck("pubcomp", packetId, ReasonCode.PacketIdentifierNotFound, reasonString);
      return;
    }
    incoming.release(packetId);
    // Another publish may get the Packet Identifier: that must not be taken for this one.
    if (this.#session.saved !== undefined) this.#link.hold();
    if (publish.countedBy === this.#token) this.#open -= 1;
    this.#link.sendAck("pubcomp", packetId, ReasonCode.Success);
  }

  hold(): void {
    this.#link.hold();
  }

  acknowledge(qos: 1 | 2, packetId: number, reasonCode: ReasonCode): void {
    this.#context.refusalDelays.reset(this.#session.clientId);
    this.#answer(
      qos,
      packetId,
      reasonCode,
      reasonCode === ReasonCode.NoMatchingSubscribers ? NO_SUBSCRIBER : undefined,
    );
  }

  refuse(qos: 1 | 2, packetId: number, topic: string, refusal: Refusal): RefusalAnswer {
    const { logger, metrics, refusalDelays } = this.#context;
    const { reasonCode, reasonString, temporary, delayClose, onUnstorable } = refusal;
    const { clientId } = this.#session;
    if (this.#link.version === 5) {
      if (qos === 2 && this.#open > 0) this.#open -= 1;
      this.#answer(qos, packetId, reasonCode, reasonString);
      return "refused";
    }
    if (!temporary && onUnstorable === "acknowledge") {
      if (refusal !== RESERVED_TOPIC) {
        metrics.refusalsAcknowledged += 1;
        logger.warn({ clientId, topic, reasonString }, "a publish was acknowledged although it cannot be stored");
      }
      this.#answer(qos, packetId, ReasonCode.Success);
      return "acknowledged";
    }
    const delay = temporary && !delayClose ? 0 : refusalDelays.next(clientId);
    if (delay > 0) {
      logger.warn(
        { clientId, topic, reasonString, delay },
        "a publish was refused: the client is closed after a delay",
      );
    } else {
      logger.debug({ clientId, topic, reasonString }, "a publish was refused for now: the client is closed");
    }
    this.#link.closeAfter(delay);
    return "closed";
  }

  moved(): void {
    this.#link.readingChanged();
  }

  #answer(qos: 1 | 2, packetId: number, reasonCode: ReasonCode, reasonString?: string): void {
    if (qos === 1) {
      if (this.#open > 0) this.#open -= 1;
      this.#link.sendAck("puback", packetId, reasonCode, reasonString);
    } else {
      const publish = this.#session.incoming.get(packetId);
      if (publish?.awaitedBy === this.#token) publish.awaitedBy = undefined;
      this.#link.sendAck("pubrec", packetId, reasonCode, reasonString);
    }
  }

  /** Counts one more against the Receive Maximum; ends the connection when that is exceeded [MQTT-3.3.4-7]. */
  #count(): boolean {
    const { receiveMaximum } = this.#context.options;
    if (this.#link.version === 5 && this.#open >= receiveMaximum) {
      this.#link.abort(ReasonCode.ReceiveMaximumExceeded, `More than ${receiveMaximum} publishes are unanswered.`);
      return false;
    }
    this.#open += 1;
    return true;
  }

  /** The topic, through its alias if need be (MQTT 5, 3.3.2.3.4); undefined: the connection is ended. */
  #topicOf({ topic, properties }: PublishPacket): string | undefined {
    const alias = properties?.topicAlias;
    if (alias === undefined) return topic;
    if (alias === 0 || alias > this.#context.options.maxTopicAlias) {
      this.#link.abort(ReasonCode.TopicAliasInvalid, `Topic Alias ${alias} is above the Topic Alias Maximum.`);
      return undefined;
    }
    if (topic !== "") {
      if (this.#aliases.set(alias, topic)) return topic;
      this.#link.abort(ReasonCode.QuotaExceeded, "The topics of the Topic Aliases are too long.");
      return undefined;
    }
    const known = this.#aliases.get(alias);
    if (known === undefined) this.#link.abort(ReasonCode.ProtocolError, `Topic Alias ${alias} was never set.`);
    return known;
  }

  #messageOf({ qos, retain, payload, properties }: PublishPacket, topic: string): Message {
    const timestamp = this.#context.now();
    const expiry = properties?.messageExpiryInterval;
    return {
      id: this.#context.ids.next(),
      from: this.#session.clientId,
      topic,
      qos,
      retain,
      payload,
      timestamp,
      expiresAt: expiry === undefined ? undefined : timestamp + expiry * 1000,
      properties: messageProperties(properties),
    };
  }
}
