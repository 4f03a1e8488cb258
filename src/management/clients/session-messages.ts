// The messages of a session by EMQX's names, from a position on.
//
// A position names the last message that was told: its id where it waits, its Packet Identifier where it is in flight. Once
// that message has left, the answer goes on with what came after it.

import { isUtf8 } from "node:buffer";
import { type Static, Type } from "typebox";
import type { Delivery } from "../../broker/delivery.ts";
import type { Session } from "../../broker/session.ts";
import { ApiError } from "../api-error.ts";

/** Where nothing was told yet. */
const NONE = "none";
const PACKET_IDS = 65_536;

const SessionMessage = Type.Object({
  msgid: Type.String(),
  topic: Type.String(),
  qos: Type.Integer(),
  publish_at: Type.Integer({ description: "Milliseconds since 1970" }),
  from_clientid: Type.String(),
  mqueue_priority: Type.Optional(Type.Integer()),
  payload: Type.Optional(Type.String()),
});

export const MessagesPart = Type.Object({
  data: Type.Array(SessionMessage),
  meta: Type.Object({ start: Type.String(), position: Type.String() }),
});

export interface PartRequest {
  readonly limit: number;
  /** Of the message behind which the part begins, or `none`. */
  readonly position: string;
  readonly payload: "none" | "base64" | "plain";
  readonly maxPayloadBytes: number;
}

interface Placed {
  readonly delivery: Delivery;
  readonly position: string;
}

/** What waits, in the order in which it will be sent. */
export function mqueuePart({ queue }: Session, request: PartRequest): Static<typeof MessagesPart> {
  const { position } = request;
  const isThere = position !== NONE && holds(queue, position);
  return partOf(placed(), request, { mqueue_priority: 0 });

  function* placed(): Generator<Placed> {
    let isBehind = position === NONE;
    for (const delivery of queue) {
      const { id } = delivery.message;
      if (isBehind || (!isThere && id > position)) yield { delivery, position: id };
      else if (id === position) isBehind = true;
    }
  }
}

function holds(queue: Session["queue"], id: string): boolean {
  for (const { message } of queue) if (message.id === id) return true;
  return false;
}

/** What is in flight, in the order of the first sending. */
export function inflightPart({ inflight }: Session, request: PartRequest): Static<typeof MessagesPart> {
  const { position } = request;
  const after = position === NONE ? undefined : packetIdOf(position);
  return partOf(placed(), request, {});

  function* placed(): Generator<Placed> {
    for (const { packetId, delivery } of inflight) {
      if (after === undefined || isLater(packetId, after)) yield { delivery, position: String(packetId) };
    }
  }
}

/** Packet Identifiers rise, and begin again: of two, the later one is less than half a round ahead. */
function isLater(packetId: number, after: number): boolean {
  const ahead = (packetId - after + PACKET_IDS) % PACKET_IDS;
  return ahead > 0 && ahead < PACKET_IDS / 2;
}

function packetIdOf(position: string): number {
  if (/^\d{1,5}$/.test(position) && Number(position) < PACKET_IDS) return Number(position);
  throw new ApiError(400, "BAD_REQUEST", "position is meta.position of an answer before, or none");
}

function partOf(
  placed: Iterable<Placed>,
  { limit, position, payload, maxPayloadBytes }: PartRequest,
  more: { mqueue_priority?: number },
): Static<typeof MessagesPart> {
  const data: Static<typeof SessionMessage>[] = [];
  let start = NONE;
  let last = position;
  let bytes = 0;
  for (const { delivery, position: at } of placed) {
    const { message, qos } = delivery;
    if (payload !== "none") bytes += message.payload.length;
    if (data.length === limit || (data.length > 0 && bytes > maxPayloadBytes)) break;
    data.push({
      msgid: message.id,
      topic: message.topic,
      qos,
      publish_at: message.timestamp,
      from_clientid: message.from,
      ...more,
      ...(payload === "none" ? undefined : { payload: payloadText(message.payload, payload) }),
    });
    if (start === NONE) start = at;
    last = at;
  }
  return { data, meta: { start, position: last } };
}

/** Throws `ApiError` 400. */
function payloadText(payload: Uint8Array, encoding: "base64" | "plain"): string {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  if (encoding === "base64") return bytes.toString("base64");
  if (isUtf8(bytes)) return bytes.toString("utf8");
  throw new ApiError(400, "INVALID_PARAMETER", "A payload is no UTF-8 text: ask for payload=base64.");
}
