// Reads a line of an import: a message, checked as if a client had published it.

import { isUtf8 } from "node:buffer";
import type { Static } from "typebox";
import type { Message, MessageProperties } from "../../mqtt/message.ts";
import { SYS_PREFIX, validateTopicName } from "../../mqtt/topic.ts";
import { checkerOf } from "../validation.ts";
import { type Encoding, MessageLine } from "./message-json.ts";

/** What MQTT's two-byte length can tell. */
const MAX_BYTES = 65_535;

const problemOf = checkerOf(MessageLine, "the line");

/** The message, or what is wrong with the line. */
export function parseLine(bytes: Uint8Array): Message | string {
  if (!isUtf8(bytes)) return "the line is no UTF-8";
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString());
  } catch (error) {
    return `the line is no JSON: ${(error as Error).message}`;
  }
  const problem = problemOf(value);
  if (problem !== undefined) return problem;
  const line = value as Static<typeof MessageLine>;
  const payload = decoded(line.payload, line.payload_encoding);
  if (payload === undefined) return `payload is no ${line.payload_encoding}`;
  if (line.payload_size !== undefined && line.payload_size !== payload.length) {
    return `payload has ${payload.length} bytes, and payload_size says ${line.payload_size}`;
  }
  return unsendable(line) ?? toMessage(line, payload);
}

/** Undefined: the text is none of that encoding. */
function decoded(text: string, encoding: Encoding): Buffer | undefined {
  if (encoding === "plain") return text.isWellFormed() ? Buffer.from(text) : undefined;
  const bytes = Buffer.from(text, encoding);
  // What is not of the encoding was passed over.
  const isWhole = bytes.toString(encoding) === (encoding === "hex" ? text.toLowerCase() : text);
  return isWhole ? bytes : undefined;
}

/** Why MQTT could not carry it. */
function unsendable({ topic, from_clientid, properties = {} }: Static<typeof MessageLine>): string | undefined {
  const topicProblem = validateTopicName(topic);
  if (topicProblem !== undefined) return topicProblem.message;
  if (topic.startsWith(SYS_PREFIX)) return `topic begins with ${SYS_PREFIX}, which is never stored`;
  const { content_type = "", response_topic, correlation_data = "", user_properties = [] } = properties;
  const responseProblem = response_topic === undefined ? undefined : validateTopicName(response_topic);
  if (responseProblem !== undefined) return `properties.response_topic: ${responseProblem.message}`;
  const correlationData = decoded(correlation_data, "base64");
  if (correlationData === undefined) return "properties.correlation_data is no base64";
  if (correlationData.length > MAX_BYTES) return tooLong("properties.correlation_data");
  const texts: [name: string, text: string][] = [
    ["from_clientid", from_clientid],
    ["properties.content_type", content_type],
    ...user_properties.flatMap(({ key, value }): [string, string][] => [
      ["a name in properties.user_properties", key],
      ["a value in properties.user_properties", value],
    ]),
  ];
  for (const [name, text] of texts) {
    if (Buffer.byteLength(text) > MAX_BYTES) return tooLong(name);
    if (text.includes("\0") || !text.isWellFormed()) return `${name} has a character that MQTT does not carry`;
  }
  return undefined;
}

function tooLong(name: string): string {
  return `${name} has more than ${MAX_BYTES} bytes`;
}

function toMessage(line: Static<typeof MessageLine>, payload: Buffer): Message {
  const properties = line.properties && toProperties(line.properties);
  return {
    id: line.msgid.toUpperCase(),
    from: line.from_clientid,
    topic: line.topic,
    qos: line.qos,
    retain: line.retain,
    payload,
    timestamp: line.publish_at,
    ...(line.expires_at === undefined ? undefined : { expiresAt: line.expires_at }),
    ...(properties === undefined ? undefined : { properties }),
  };
}

function toProperties(json: NonNullable<Static<typeof MessageLine>["properties"]>): MessageProperties {
  const { payload_format_indicator, content_type, response_topic, correlation_data, user_properties } = json;
  return {
    ...(payload_format_indicator === undefined ? undefined : { payloadFormatIndicator: payload_format_indicator }),
    ...(content_type === undefined ? undefined : { contentType: content_type }),
    ...(response_topic === undefined ? undefined : { responseTopic: response_topic }),
    ...(correlation_data === undefined
      ? undefined
      : { correlationData: new Uint8Array(Buffer.from(correlation_data, "base64")) }),
    ...(user_properties === undefined
      ? undefined
      : { userProperties: user_properties.map(({ key, value }) => [key, value] as const) }),
  };
}
