// Lets go of a socket's read buffer when a message outlives the turn in which it arrived.

import type { Message } from "../mqtt/message.ts";

/** A view that is at least this part of its memory may stay a view. */
const WORTHWHILE_PART = 0.5;

/**
 * Replaces a payload (and correlation data) that is a small view of a large buffer by a copy, so that a waiting message
 * of a few bytes does not keep 64 KB. The message is changed in place: all who share it profit.
 */
export function detachPayload(message: Message): void {
  const { payload } = message;
  if (isSmallView(payload)) (message as { payload: Uint8Array }).payload = Buffer.from(payload);
  const correlationData = message.properties?.correlationData;
  if (message.properties !== undefined && correlationData !== undefined && isSmallView(correlationData)) {
    (message as { properties: unknown }).properties = {
      ...message.properties,
      correlationData: Buffer.from(correlationData),
    };
  }
}

function isSmallView(bytes: Uint8Array): boolean {
  const whole = bytes.buffer.byteLength;
  return whole > Buffer.poolSize && bytes.byteLength < whole * WORTHWHILE_PART;
}
