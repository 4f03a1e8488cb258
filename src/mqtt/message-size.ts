// How much memory a message takes, for limits in bytes.

import type { Message, MessageProperties } from "./message.ts";

/** The bytes of payload, topic and properties; text counts by its characters. */
export function messageBytes({
  payload,
  topic,
  properties,
}: Pick<Message, "payload" | "topic" | "properties">): number {
  const bytes = payload.length + topic.length;
  return properties === undefined ? bytes : bytes + propertyBytes(properties);
}

function propertyBytes({ contentType, responseTopic, correlationData, userProperties }: MessageProperties): number {
  let bytes = (contentType?.length ?? 0) + (responseTopic?.length ?? 0) + (correlationData?.length ?? 0);
  for (const [name, value] of userProperties ?? []) bytes += name.length + value.length;
  return bytes;
}
