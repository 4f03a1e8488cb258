// Messages as columns, to cross threads cheaply: one buffer for all payloads, handed over without a copy.
//
// Cloning a message as an object costs a walk over its fields, and cloning a view on a buffer clones the whole buffer
// behind it (a socket's 64 KiB chunk for a payload of ten bytes). So payloads are copied once, into a buffer of just
// the right size, and that buffer changes its owner.

import type { Message, MessageProperties, QoS, UserProperty } from "../mqtt/message.ts";

export interface MessageColumns {
  readonly ids: readonly string[];
  readonly topics: readonly string[];
  readonly senders: readonly string[];
  /** As `propertiesToJson` writes them. */
  readonly properties: readonly (string | null)[];
  /** QoS in the two lowest bits, RETAIN above. */
  readonly flags: Uint8Array<ArrayBuffer>;
  readonly timestamps: Float64Array<ArrayBuffer>;
  /** NaN: never. */
  readonly expiries: Float64Array<ArrayBuffer>;
  /** Where each payload ends in `payloads`. */
  readonly ends: Float64Array<ArrayBuffer>;
  readonly payloads: ArrayBuffer;
}

export const RETAIN_BIT = 4;
const QOS_MASK = 3;

export function toColumns(messages: readonly Message[]): MessageColumns {
  const count = messages.length;
  const ids: string[] = new Array(count);
  const topics: string[] = new Array(count);
  const senders: string[] = new Array(count);
  const properties: (string | null)[] = new Array(count);
  const flags = new Uint8Array(count);
  const timestamps = new Float64Array(count);
  const expiries = new Float64Array(count);
  const ends = new Float64Array(count);
  let size = 0;
  for (const message of messages) size += message.payload.length;
  const payloads = new Uint8Array(size);
  let end = 0;
  for (let at = 0; at < count; at++) {
    const message = messages[at] as Message;
    ids[at] = message.id;
    topics[at] = message.topic;
    senders[at] = message.from;
    properties[at] = propertiesToJson(message.properties);
    flags[at] = message.qos | (message.retain ? RETAIN_BIT : 0);
    timestamps[at] = message.timestamp;
    expiries[at] = message.expiresAt ?? Number.NaN;
    payloads.set(message.payload, end);
    end += message.payload.length;
    ends[at] = end;
  }
  return { ids, topics, senders, properties, flags, timestamps, expiries, ends, payloads: payloads.buffer };
}

export function fromColumns(columns: MessageColumns): Message[] {
  const messages: Message[] = new Array(columns.ids.length);
  for (let at = 0; at < messages.length; at++) messages[at] = messageAt(columns, at);
  return messages;
}

/** The message at an index. Its payload is a view on the columns' buffer. */
export function messageAt(columns: MessageColumns, at: number): Message {
  const start = at === 0 ? 0 : (columns.ends[at - 1] as number);
  const flags = columns.flags[at] as number;
  const expiresAt = columns.expiries[at] as number;
  const properties = propertiesFromJson(columns.properties[at] ?? null);
  return {
    id: columns.ids[at] as string,
    from: columns.senders[at] as string,
    topic: columns.topics[at] as string,
    qos: (flags & QOS_MASK) as QoS,
    retain: (flags & RETAIN_BIT) !== 0,
    payload: new Uint8Array(columns.payloads, start, (columns.ends[at] as number) - start),
    timestamp: columns.timestamps[at] as number,
    ...(Number.isNaN(expiresAt) ? undefined : { expiresAt }),
    ...(properties === undefined ? undefined : { properties }),
  };
}

/** The buffers that change their owner with the columns. */
export function transferList(columns: MessageColumns): ArrayBuffer[] {
  return [
    columns.payloads,
    columns.flags.buffer,
    columns.timestamps.buffer,
    columns.expiries.buffer,
    columns.ends.buffer,
  ];
}

interface JsonProperties {
  payload_format_indicator?: 0 | 1;
  content_type?: string;
  response_topic?: string;
  /** Base64. */
  correlation_data?: string;
  /** In their order; names may repeat. */
  user_properties?: readonly UserProperty[];
}

/** The text of column `properties`; null when there are none. */
export function propertiesToJson(properties: MessageProperties | undefined): string | null {
  if (properties === undefined) return null;
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } = properties;
  const json: JsonProperties = {};
  if (payloadFormatIndicator !== undefined) json.payload_format_indicator = payloadFormatIndicator;
  if (contentType !== undefined) json.content_type = contentType;
  if (responseTopic !== undefined) json.response_topic = responseTopic;
  if (correlationData !== undefined) {
    const { buffer, byteOffset, length } = correlationData;
    json.correlation_data = Buffer.from(buffer, byteOffset, length).toString("base64");
  }
  if (userProperties !== undefined && userProperties.length > 0) json.user_properties = userProperties;
  for (const _ in json) return JSON.stringify(json);
  return null;
}

/** The reverse of `propertiesToJson`. */
export function propertiesFromJson(text: string | null): MessageProperties | undefined {
  if (text === null) return undefined;
  const json = parse(text);
  return {
    ...(json.payload_format_indicator === undefined
      ? undefined
      : { payloadFormatIndicator: json.payload_format_indicator }),
    ...(json.content_type === undefined ? undefined : { contentType: json.content_type }),
    ...(json.response_topic === undefined ? undefined : { responseTopic: json.response_topic }),
    ...(json.correlation_data === undefined
      ? undefined
      : { correlationData: new Uint8Array(Buffer.from(json.correlation_data, "base64")) }),
    ...(json.user_properties === undefined ? undefined : { userProperties: json.user_properties }),
  };
}

/** A text that was spoilt by hand costs its message the properties, and does not block those behind it. */
function parse(text: string): JsonProperties {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
