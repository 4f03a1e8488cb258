// Messages as the values of an insert template, and as rows of a select template.

import type { Message, QoS } from "../../mqtt/message.ts";
import { isMessageId, type MessageId, timestampOf } from "../../mqtt/message-id.ts";
import { detachPayload } from "../../mqtt/payload.ts";
import { propertiesFromJson, propertiesToJson } from "../../sqlite/message-columns.ts";
import type { Layout } from "./layout.ts";
import { type Parameter, type Row, wholeNumber } from "./result.ts";
import type { Placeholder } from "./template.ts";

/** The name under which the server tells when a message was stored, in seconds since the epoch, whatever its time zone. */
const ARRIVED = "omp_arrived";

/** The columns of a page: all that the template gives, and the time in a form that needs no time zone. */
export function rowColumns({ arrivedIsTime }: Layout): string {
  return arrivedIsTime ? `m.*, UNIX_TIMESTAMP(m.arrived) AS ${ARRIVED}` : "m.*";
}

/** Appends the values of an insert template's parameters, in their order, and returns `values`. */
export function pushParameters(
  values: Parameter[],
  message: Message,
  placeholders: readonly Placeholder[],
): Parameter[] {
  for (const placeholder of placeholders) values.push(parameterOf(message, placeholder));
  return values;
}

function parameterOf(message: Message, placeholder: Placeholder): Parameter {
  switch (placeholder) {
    case "id":
      return message.id;
    case "from":
    case "clientid":
      return message.from;
    case "topic":
      return message.topic;
    case "qos":
      return message.qos;
    case "flags.retain":
      return message.retain ? 1 : 0;
    case "payload": {
      const { buffer, byteOffset, length } = message.payload;
      return Buffer.from(buffer, byteOffset, length);
    }
    case "timestamp":
      return wholeNumber(message.timestamp);
    case "properties":
      return propertiesToJson(message.properties);
    case "expires_at":
      return message.expiresAt === undefined ? null : wholeNumber(message.expiresAt);
  }
}

/** The message of a row; undefined when its id or QoS is none. `topic`: where the row does not tell it. */
export function fromRow(row: Row, { selected }: Layout, topic: string): Message | undefined {
  const value = (column: string): unknown => {
    const name = selected.get(column);
    return name === undefined ? undefined : (row[name] ?? undefined);
  };
  const id = textOf(value("msgid")).toUpperCase();
  const qos = Number(bitOf(value("qos")) ?? 0);
  if (!isMessageId(id) || !(qos === 0 || qos === 1 || qos === 2)) return undefined;
  const expiresAt = Number(value("expires_at") ?? Number.NaN);
  const propertiesText = value("properties");
  const properties = propertiesText === undefined ? undefined : propertiesFromJson(textOf(propertiesText));
  const message: Message = {
    id,
    from: textOf(value("sender")),
    topic: selected.has("topic") ? textOf(value("topic")) : topic,
    qos: qos as QoS,
    retain: ["1", "true"].includes(textOf(bitOf(value("retain"))).toLowerCase()),
    payload: bytesOf(value("payload")),
    timestamp: timeOf(row, id),
    ...(Number.isFinite(expiresAt) ? { expiresAt } : undefined),
    ...(properties === undefined ? undefined : { properties }),
  };
  detachPayload(message);
  return message;
}

/** When it was stored, in ms since the epoch; an id tells when it was made. */
function timeOf(row: Row, id: MessageId): number {
  const seconds = row[ARRIVED] ?? undefined;
  return seconds === undefined ? Number(timestampOf(id) / 1_000n) : Math.round(Number(seconds) * 1_000);
}

function textOf(value: unknown): string {
  return value === undefined || value === null ? "" : String(value);
}

/** A column of type BIT comes as bytes. */
function bitOf(value: unknown): unknown {
  return Buffer.isBuffer(value) && value.length === 1 && (value[0] as number) <= 2 ? value[0] : value;
}

function bytesOf(value: unknown): Uint8Array {
  if (Buffer.isBuffer(value)) return value;
  return Buffer.from(textOf(value));
}
