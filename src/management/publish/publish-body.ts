// The body of a publish as EMQX has it, and what it asks the broker to publish.

import { type Static, Type } from "typebox";
import type { PublishProblem, PublishRequest } from "../../broker/administrator-publishes.ts";
import { isUtf8EncodedString } from "../../mqtt/codec/utf8.ts";
import type { MessageProperties } from "../../mqtt/message.ts";
import { ReasonCode } from "../../mqtt/reason-code.ts";
import { validateTopicName } from "../../mqtt/topic.ts";
import { exactly, oneOf } from "../schemas.ts";

const MAX_EXPIRY_INTERVAL = 0xffff_ffff;
const MAX_USER_PROPERTIES = 1000;
/** What the two bytes of its length can tell. */
const MAX_CORRELATION_BYTES = 65_535;

const encodings = ["plain", "base64"] as const;

export const PublishBody = exactly({
  topic: Type.String(),
  payload: Type.String(),
  payload_encoding: Type.Optional(oneOf(encodings)),
  // EMQX 6 takes either name.
  encoding: Type.Optional(oneOf(encodings)),
  qos: Type.Optional(Type.Integer({ minimum: 0, maximum: 2, default: 0 })),
  retain: Type.Optional(Type.Boolean({ default: false })),
  clientid: Type.Optional(Type.String({ description: "Without effect, as in EMQX" })),
  properties: Type.Optional(
    exactly({
      payload_format_indicator: Type.Optional(Type.Union([Type.Literal(0), Type.Literal(1)])),
      message_expiry_interval: Type.Optional(
        Type.Integer({ minimum: 0, maximum: MAX_EXPIRY_INTERVAL, description: "In seconds" }),
      ),
      response_topic: Type.Optional(Type.String()),
      correlation_data: Type.Optional(Type.String()),
      user_properties: Type.Optional(Type.Record(Type.String(), Type.String(), { maxProperties: MAX_USER_PROPERTIES })),
      content_type: Type.Optional(Type.String()),
    }),
  ),
});

type Body = Static<typeof PublishBody>;
type Properties = NonNullable<Body["properties"]>;

/** What is to be published, or why it cannot be. */
export function publishRequest(body: Body): PublishRequest | PublishProblem {
  const { topic, payload: text, qos = 0, retain = false, properties = {} } = body;
  const payload = decoded(text, body.payload_encoding ?? body.encoding ?? "plain");
  if (typeof payload === "string") return problem(payload);
  const wrong = problemOf(properties);
  if (wrong !== undefined) return problem(wrong);
  return {
    topic,
    qos: qos as PublishRequest["qos"],
    retain,
    payload,
    properties: messageProperties(properties),
    expiryInterval: properties.message_expiry_interval,
  };
}

function problem(reasonString: string): PublishProblem {
  return { reasonCode: ReasonCode.ImplementationSpecificError, reasonString };
}

/** The bytes, or what is wrong. */
function decoded(text: string, encoding: (typeof encodings)[number]): Buffer | string {
  if (encoding === "plain") return text.isWellFormed() ? Buffer.from(text) : "payload cannot be written in UTF-8";
  const isBase64 = text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
  return isBase64 ? Buffer.from(text, "base64") : "payload is no base64, which payload_encoding says that it is";
}

function problemOf(properties: Properties): string | undefined {
  const { response_topic, correlation_data, content_type, user_properties = {} } = properties;
  const invalid = response_topic === undefined ? undefined : validateTopicName(response_topic);
  if (invalid !== undefined) return `response_topic: ${invalid.message}`;
  if (correlation_data !== undefined && Buffer.byteLength(correlation_data) > MAX_CORRELATION_BYTES) {
    return `correlation_data takes more than ${MAX_CORRELATION_BYTES} bytes`;
  }
  const texts = { content_type, ...Object.fromEntries(Object.entries(user_properties).flatMap(namedTexts)) };
  const name = Object.entries(texts).find(([, text]) => text !== undefined && !isUtf8EncodedString(text))?.[0];
  return name && `${name} is too long, not well-formed, or contains U+0000`;
}

function namedTexts([name, value]: [string, string], at: number): [string, string][] {
  return [
    [`the name of user property ${at + 1}`, name],
    [`the value of user property ${at + 1}`, value],
  ];
}

function messageProperties(properties: Properties): MessageProperties | undefined {
  const { payload_format_indicator, response_topic, correlation_data, user_properties, content_type } = properties;
  const given: MessageProperties = {
    ...(payload_format_indicator === undefined ? undefined : { payloadFormatIndicator: payload_format_indicator }),
    ...(content_type === undefined ? undefined : { contentType: content_type }),
    ...(response_topic === undefined ? undefined : { responseTopic: response_topic }),
    ...(correlation_data === undefined ? undefined : { correlationData: Buffer.from(correlation_data) }),
    ...(user_properties === undefined ? undefined : { userProperties: Object.entries(user_properties) }),
  };
  return Object.keys(given).length === 0 ? undefined : given;
}
