// Messages that an administrator publishes: they go the way of a client's, through the hooks and to the subscribers, and it is
// told what became of each.

import { encodedPublishLength } from "../mqtt/codec/publish-encoder.ts";
import type { Message, MessageProperties, QoS } from "../mqtt/message.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import { messageBytes } from "../mqtt/message-size.ts";
import { ReasonCode } from "../mqtt/reason-code.ts";
import { countLevels, validateTopicName } from "../mqtt/topic.ts";
import type { Refusal } from "../plugin/hooks.ts";
import type { BrokerContext } from "./context.ts";
import { type PublishAnswers, PublishPipeline, type RefusalAnswer } from "./publish-pipeline.ts";
import type { Turns } from "./turns.ts";

/** What EMQX calls the publisher. */
const FROM = "http_api";
/** Bytes of messages that may be under way, all requests together. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024;
/** What a message takes besides its payload, topic and properties, about, in bytes. */
const MESSAGE_OVERHEAD = 1024;
/** Messages that are published in one turn of the event loop. */
const MESSAGES_PER_TURN = 50;

export interface PublishRequest {
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly payload: Uint8Array;
  readonly properties?: MessageProperties | undefined;
  /** In seconds; absent: it never expires. */
  readonly expiryInterval?: number | undefined;
}

export interface PublishProblem {
  readonly reasonCode: ReasonCode;
  readonly reasonString: string;
}

/** `problem` is absent for a message that was taken: stored, or routed to at least one subscription. */
export interface Published {
  readonly id: MessageId;
  readonly problem?: PublishProblem & { readonly isTemporary: boolean };
}

export class AdministratorPublishes {
  readonly #context: BrokerContext;
  readonly #turns: Turns;
  #waitingBytes = 0;

  constructor(context: BrokerContext, turns: Turns) {
    this.#context = context;
    this.#turns = turns;
  }

  /** Why the message cannot be published, whatever the hooks say; undefined: it can. */
  problemOf({ topic, qos, retain, payload, properties, expiryInterval }: PublishRequest): PublishProblem | undefined {
    const { maxTopicLevels, maxPacketSize } = this.#context.options;
    const invalid = validateTopicName(topic);
    if (invalid !== undefined) return { reasonCode: ReasonCode.TopicNameInvalid, reasonString: invalid.message };
    if (countLevels(topic) > maxTopicLevels) {
      const reasonString = `The topic has more than ${maxTopicLevels} levels.`;
      return { reasonCode: ReasonCode.TopicNameInvalid, reasonString };
    }
    const packet = {
      type: "publish",
      topic,
      qos,
      retain,
      dup: false,
      packetId: qos > 0 ? 1 : undefined,
      payload,
      properties: { ...properties, messageExpiryInterval: expiryInterval },
    } as const;
    if (encodedPublishLength(packet, 5) > maxPacketSize) {
      // As EMQX has it: a PUBACK cannot say PacketTooLarge.
      const reasonString = `The packet would have more than ${maxPacketSize} bytes, which is mqtt.max_packet_size.`;
      return { reasonCode: ReasonCode.QuotaExceeded, reasonString };
    }
    return undefined;
  }

  /**
   * Publishes messages without a problem, one after the other. Settles when all are stored, as far as a plugin stores them,
   * routed, and saved; with what became of each, in their order. Never rejects.
   */
  async publish(requests: readonly PublishRequest[]): Promise<readonly Published[]> {
    const bytes = requests.reduce((sum, request) => sum + messageBytes(request) + MESSAGE_OVERHEAD, 0);
    const answers = new Answers(requests.length);
    if (this.#waitingBytes > 0 && this.#waitingBytes + bytes > MAX_WAITING_BYTES) {
      return requests.map(() => ({ id: this.#context.ids.next(), problem: TOO_MUCH_WAITS }));
    }
    this.#waitingBytes += bytes;
    try {
      await this.#publish(requests, answers);
      await answers.complete;
      const { persistence, options } = this.#context;
      if (!answers.mustBeSaved || (await persistence.saved(options.saveTimeout * 1000))) return answers.published;
      return answers.published.map(({ id, problem = NOT_SAVED }) => ({ id, problem }));
    } finally {
      this.#waitingBytes -= bytes;
    }
  }

  async #publish(requests: readonly PublishRequest[], answers: Answers): Promise<void> {
    const { ids, metrics, sessions } = this.#context;
    const pipeline = new PublishPipeline(this.#context, answers);
    for (const [at, request] of requests.entries()) {
      // Ids rise in the order of publishing, whoever publishes meanwhile.
      const id = ids.next();
      answers.begin(at, id);
      if (sessions.isKept) {
        answers.answer(at, STOPPING);
      } else {
        metrics.publishesOfAdministrator += 1;
        pipeline.publish(this.#messageOf(id, request), at + 1);
      }
      if (at % MESSAGES_PER_TURN === MESSAGES_PER_TURN - 1) await this.#turns.next();
    }
  }

  #messageOf(id: MessageId, { topic, qos, retain, payload, properties, expiryInterval }: PublishRequest): Message {
    const timestamp = this.#context.now();
    const expiresAt = expiryInterval === undefined ? undefined : timestamp + expiryInterval * 1000;
    return { id, from: FROM, topic, qos, retain, payload, timestamp, expiresAt, properties };
  }
}

const STOPPING = temporary(ReasonCode.ServerShuttingDown, "The broker stops.");
const TOO_MUCH_WAITS = temporary(
  ReasonCode.QuotaExceeded,
  "Too many publishes of the API are under way: publish it again later.",
);
const NOT_SAVED = temporary(
  ReasonCode.ImplementationSpecificError,
  "The message could not be saved in time for sessions that wait for it: publish it again later.",
);

function temporary(reasonCode: ReasonCode, reasonString: string): NonNullable<Published["problem"]> {
  return { reasonCode, reasonString, isTemporary: true };
}

/** The place of a message in its request, counted from 1, stands for the Packet Identifier. */
class Answers implements PublishAnswers {
  readonly complete: Promise<void>;
  readonly published: Published[] = [];
  /** Something was changed that would be lost with the broker. */
  mustBeSaved = false;
  #missing: number;
  readonly #resolve: () => void;

  constructor(count: number) {
    this.#missing = count;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.complete = promise;
    this.#resolve = resolve;
    if (count === 0) resolve();
  }

  begin(at: number, id: MessageId): void {
    this.published[at] = { id };
  }

  answer(at: number, problem?: Published["problem"]): void {
    const { id } = this.published[at] as Published;
    if (problem !== undefined) this.published[at] = { id, problem };
    this.#missing -= 1;
    if (this.#missing === 0) this.#resolve();
  }

  hold(): void {
    this.mustBeSaved = true;
  }

  acknowledge(_qos: QoS, packetId: number, reasonCode: ReasonCode): void {
    if (reasonCode === ReasonCode.Success) this.answer(packetId - 1);
    else this.answer(packetId - 1, { reasonCode, reasonString: "no_matching_subscribers", isTemporary: false });
  }

  refuse(_qos: QoS, packetId: number, _topic: string, refusal: Refusal): RefusalAnswer {
    const { reasonCode, reasonString, temporary: isTemporary } = refusal;
    this.answer(packetId - 1, { reasonCode, reasonString, isTemporary });
    return "refused";
  }

  moved(): void {}
}
