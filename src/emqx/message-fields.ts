// The compound fields: a message with its properties, and a subscription.

import type { Message, MessageProperties, QoS, UserProperty } from "../mqtt/message.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import type { FieldReader, FrameWriter } from "./frame-fields.ts";
import { LinkProtocolError } from "./link-error.ts";

const RETAIN = 0b100;

const HAS = {
  payloadFormatIndicator: 1,
  messageExpiryInterval: 2,
  contentType: 4,
  responseTopic: 8,
  correlationData: 16,
  userProperties: 32,
} as const;

const MAX_RETAIN_HANDLING = 2;
const MS = 1000;

/** EMQX lets texts through that are no UTF-8: `isText` is false for a message that has one, and the text is empty. */
export interface MessageField {
  readonly message: Message;
  readonly isText: boolean;
}

/** Bits 0 and 1 of flags. Throws `LinkProtocolError` for QoS 3. */
export function qosOf(flags: number): QoS {
  const qos = flags & 0b11;
  if (qos === 3) throw new LinkProtocolError("there is no QoS 3");
  return qos as QoS;
}

export function readMessage(reader: FieldReader): MessageField {
  let isText = true;
  const text = (): string => {
    const read = reader.textOrNone();
    if (read === undefined) isText = false;
    return read ?? "";
  };
  const id = reader.id();
  const timestamp = reader.u64();
  const flags = reader.u8();
  const from = text();
  const topic = text();
  const payload = reader.bytes();
  const has = reader.u8();
  const format = has & HAS.payloadFormatIndicator ? reader.u8() : undefined;
  const expiry = has & HAS.messageExpiryInterval ? reader.u32() : undefined;
  const contentType = has & HAS.contentType ? text() : undefined;
  const responseTopic = has & HAS.responseTopic ? text() : undefined;
  const correlationData = has & HAS.correlationData ? reader.textBytes() : undefined;
  const userProperties = has & HAS.userProperties ? reader.list((): UserProperty => [text(), text()]) : undefined;
  const properties: MessageProperties = {
    ...(format === undefined ? undefined : { payloadFormatIndicator: format === 0 ? 0 : 1 }),
    ...(contentType === undefined ? undefined : { contentType }),
    ...(responseTopic === undefined ? undefined : { responseTopic }),
    ...(correlationData === undefined ? undefined : { correlationData }),
    ...(userProperties === undefined ? undefined : { userProperties }),
  };
  const message: Message = {
    id,
    from,
    topic,
    qos: qosOf(flags),
    retain: (flags & RETAIN) !== 0,
    payload,
    timestamp,
    ...(expiry === undefined ? undefined : { expiresAt: timestamp + expiry * MS }),
    ...(has & ~HAS.messageExpiryInterval ? { properties } : undefined),
  };
  return { message, isText };
}

/**
 * `now`: ms since the epoch, from which what is left of the Message Expiry Interval is counted (1 s at least); absent: the whole
 * interval.
 */
export function writeMessage(writer: FrameWriter, message: Message, now = message.timestamp): void {
  const { properties = {}, expiresAt } = message;
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } = properties;
  writer
    .id(message.id)
    .u64(message.timestamp)
    .u8(message.qos | (message.retain ? RETAIN : 0))
    .text(message.from)
    .text(message.topic)
    .bytes(message.payload)
    .u8(
      (payloadFormatIndicator === undefined ? 0 : HAS.payloadFormatIndicator) |
        (expiresAt === undefined ? 0 : HAS.messageExpiryInterval) |
        (contentType === undefined ? 0 : HAS.contentType) |
        (responseTopic === undefined ? 0 : HAS.responseTopic) |
        (correlationData === undefined ? 0 : HAS.correlationData) |
        (userProperties === undefined ? 0 : HAS.userProperties),
    );
  if (payloadFormatIndicator !== undefined) writer.u8(payloadFormatIndicator);
  if (expiresAt !== undefined) writer.u32(secondsLeft(expiresAt, now));
  if (contentType !== undefined) writer.text(contentType);
  if (responseTopic !== undefined) writer.text(responseTopic);
  if (correlationData !== undefined) writer.textBytes(correlationData);
  if (userProperties !== undefined) writer.list(userProperties, ([name, value]) => writer.text(name).text(value));
}

/** What is left of a Message Expiry Interval, in whole seconds. */
export function secondsLeft(expiresAt: number, now: number): number {
  const MAX = 0xffff_ffff;
  return Math.min(MAX, Math.max(1, Math.ceil((expiresAt - now) / MS)));
}

/** How many bytes the message takes in a frame, at most. */
export function messageLength({ from, topic, payload, properties }: Message): number {
  const FIXED = 128;
  const text = (value = ""): number => 2 + 3 * value.length;
  const userProperties = properties?.userProperties ?? [];
  return (
    FIXED +
    text(from) +
    text(topic) +
    payload.length +
    text(properties?.contentType) +
    text(properties?.responseTopic) +
    (properties?.correlationData?.length ?? 0) +
    userProperties.reduce((sum, [name, value]) => sum + text(name) + text(value), 0)
  );
}

/** Undefined: the filter is no UTF-8. */
export function readSubscription(reader: FieldReader): SubscriptionRequest | undefined {
  const topicFilter = reader.textOrNone();
  const flags = reader.u8();
  const subscriptionIdentifier = reader.u32();
  const retainHandling = (flags >> 4) & 0b11;
  const qos = qosOf(flags);
  if (retainHandling > MAX_RETAIN_HANDLING) throw new LinkProtocolError("there is no Retain Handling 3");
  if (topicFilter === undefined) return undefined;
  return {
    topicFilter,
    qos,
    noLocal: (flags & 0b100) !== 0,
    retainAsPublished: (flags & 0b1000) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
    ...(subscriptionIdentifier === 0 ? undefined : { subscriptionIdentifier }),
  };
}

export function writeSubscription(writer: FrameWriter, subscription: SubscriptionRequest): void {
  const { topicFilter, qos, noLocal, retainAsPublished, retainHandling, subscriptionIdentifier = 0 } = subscription;
  const flags = qos | (noLocal ? 0b100 : 0) | (retainAsPublished ? 0b1000 : 0) | (retainHandling << 4);
  writer.text(topicFilter).u8(flags).u32(subscriptionIdentifier);
}
