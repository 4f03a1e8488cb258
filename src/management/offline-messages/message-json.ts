// A message as JSON, by EMQX's names: as the endpoints show it, and as a line of an export, which can be imported.

import { isUtf8 } from "node:buffer";
import { type Static, Type } from "typebox";
import type { Message, MessageProperties } from "../../mqtt/message.ts";
import { exactly, oneOf } from "../schemas.ts";

export const ENCODINGS = ["base64", "hex", "plain"] as const;
export type Encoding = (typeof ENCODINGS)[number];

/** After the year 9999 there are no times that all stores can tell, in ms since the epoch. */
const MAX_TIME = 253_402_300_799_999;
const Time = Type.Integer({ minimum: 0, maximum: MAX_TIME, description: "ms since the epoch" });

const Properties = exactly({
  payload_format_indicator: Type.Optional(Type.Unsafe<0 | 1>({ type: "integer", enum: [0, 1] })),
  content_type: Type.Optional(Type.String()),
  response_topic: Type.Optional(Type.String()),
  correlation_data: Type.Optional(Type.String({ description: "base64" })),
  user_properties: Type.Optional(Type.Array(exactly({ key: Type.String(), value: Type.String() }))),
});

const fields = {
  msgid: Type.String({ pattern: "^[0-9A-Fa-f]{32}$" }),
  topic: Type.String(),
  qos: Type.Unsafe<0 | 1 | 2>({ type: "integer", enum: [0, 1, 2] }),
  publish_at: Time,
  /** Absent: never. */
  expires_at: Type.Optional(Time),
  properties: Type.Optional(Properties),
};

/** A line of an export. */
export const MessageLine = exactly({
  ...fields,
  retain: Type.Boolean({ default: false }),
  from_clientid: Type.String({ default: "" }),
  payload: Type.String(),
  payload_encoding: oneOf(ENCODINGS, { default: "plain" }),
  payload_size: Type.Optional(Type.Integer({ minimum: 0, description: "bytes" })),
});

/** A message as it is shown. */
export const ShownMessage = Type.Object({
  ...fields,
  retain: Type.Boolean(),
  from_clientid: Type.String(),
  payload_size: Type.Integer({ description: "bytes" }),
  payload: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  payload_encoding: Type.Optional(oneOf(ENCODINGS)),
  payload_error: Type.Optional(Type.String({ description: "Why payload is null" })),
});

type Shown = Static<typeof ShownMessage>;

/** Payloads of more bytes are not shown: they are downloaded by themselves. */
const MAX_SHOWN_PAYLOAD = 16 * 1024 * 1024;

/** `none`: without its payload. One that cannot be shown is null, with the reason. */
export function toShown(message: Message, encoding: Encoding | "none"): Shown {
  const shown = withoutPayload(message);
  const { payload } = message;
  if (encoding === "none") return shown;
  if (payload.length > MAX_SHOWN_PAYLOAD) {
    const payload_error = `The payload has more than ${MAX_SHOWN_PAYLOAD} bytes: get it from …/messages/${message.id}/payload`;
    return { ...shown, payload: null, payload_error };
  }
  if (encoding === "plain" && !isUtf8(payload)) {
    return {
      ...shown,
      payload: null,
      payload_error: "The payload is no UTF-8: ask with payload=base64 or payload=hex",
    };
  }
  return { ...shown, payload: encoded(payload, encoding), payload_encoding: encoding };
}

/** With its end. */
export function toLine(message: Message): string {
  const payload = encoded(message.payload, "base64");
  return `${JSON.stringify({ ...withoutPayload(message), payload, payload_encoding: "base64" })}\n`;
}

function withoutPayload({ id, topic, qos, retain, from, timestamp, expiresAt, properties, payload }: Message): Shown {
  const told = properties && propertiesToJson(properties);
  return {
    msgid: id,
    topic,
    qos,
    retain,
    from_clientid: from,
    publish_at: timestamp,
    ...(expiresAt === undefined ? undefined : { expires_at: expiresAt }),
    ...(told === undefined ? undefined : { properties: told }),
    payload_size: payload.length,
  };
}

function propertiesToJson(properties: MessageProperties): Static<typeof Properties> {
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } = properties;
  return {
    ...(payloadFormatIndicator === undefined ? undefined : { payload_format_indicator: payloadFormatIndicator }),
    ...(contentType === undefined ? undefined : { content_type: contentType }),
    ...(responseTopic === undefined ? undefined : { response_topic: responseTopic }),
    ...(correlationData === undefined ? undefined : { correlation_data: encoded(correlationData, "base64") }),
    ...(userProperties === undefined
      ? undefined
      : { user_properties: userProperties.map(([key, value]) => ({ key, value })) }),
  };
}

function encoded({ buffer, byteOffset, length }: Uint8Array, encoding: Encoding): string {
  return Buffer.from(buffer, byteOffset, length).toString(encoding === "plain" ? "utf8" : encoding);
}
