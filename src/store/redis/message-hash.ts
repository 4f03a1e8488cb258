// A message as the hash that EMQX's plugin writes, with two fields of ours where they are needed: `properties` (MQTT 5, as
// JSON) and `expires_at` (ms since the epoch).

import { fromB62 } from "../../mqtt/base62.ts";
import type { Message, QoS } from "../../mqtt/message.ts";
import { detachPayload } from "../../mqtt/payload.ts";
import { propertiesFromJson, propertiesToJson } from "../../sqlite/message-columns.ts";
import type { Argument, RedisCommand, Reply } from "./command.ts";
import type { IndexEntry } from "./context.ts";

/** Writes the hash: fields and values in the order of the original. */
export function hashCommand(key: string, message: Message, id62: string): RedisCommand {
  const { from, qos, topic, payload, timestamp, retain, expiresAt } = message;
  const command: [string, ...Argument[]] = [
    "HSET",
    key,
    "id",
    id62,
    "from",
    from,
    "qos",
    String(qos),
    "topic",
    topic,
    "payload",
    Buffer.from(payload.buffer, payload.byteOffset, payload.length),
    "ts",
    String(timestamp),
    "retain",
    retain ? "true" : "false",
  ];
  const properties = propertiesToJson(message.properties);
  if (properties !== null) command.push("properties", properties);
  if (expiresAt !== undefined) command.push("expires_at", String(expiresAt));
  return command;
}

const NO_PAYLOAD = new Uint8Array(0);

/**
 * The message of an entry, from the reply to HGETALL; undefined when there is no hash, or one of another topic. Without a
 * topic, that of the hash is taken. Throws `Base62Error` when the entry is no id.
 */
export function fromFields(
  reply: Reply,
  { id62, topic: topicOfEntry }: Pick<IndexEntry, "id62"> & Partial<IndexEntry>,
): Message | undefined {
  if (!Array.isArray(reply) || reply.length === 0) return undefined;
  let topic: string | undefined;
  let from = "";
  let qos = 0;
  let payload: Uint8Array = NO_PAYLOAD;
  let timestamp = 0;
  let retain = false;
  let expiresAt: number | undefined;
  let propertiesText: string | null = null;
  for (let at = 0; at + 1 < reply.length; at += 2) {
    const value = reply[at + 1] as Buffer;
    switch (String(reply[at])) {
      case "topic":
        topic = value.toString();
        break;
      case "from":
        from = value.toString();
        break;
      case "qos":
        qos = Number(value);
        break;
      case "payload":
        payload = value;
        break;
      case "ts":
        timestamp = Number(value);
        break;
      case "retain":
        retain = value.toString() === "true";
        break;
      case "properties":
        propertiesText = value.toString();
        break;
      case "expires_at":
        expiresAt = Number(value);
        break;
    }
  }
  if (topic === undefined || topic !== (topicOfEntry ?? topic) || !(qos === 0 || qos === 1 || qos === 2))
    return undefined;
  const properties = propertiesFromJson(propertiesText);
  const message: Message = {
    id: fromB62(id62),
    from,
    topic,
    qos: qos as QoS,
    retain,
    payload,
    timestamp,
    ...(expiresAt === undefined ? undefined : { expiresAt }),
    ...(properties === undefined ? undefined : { properties }),
  };
  detachPayload(message);
  return message;
}
