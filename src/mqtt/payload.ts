// Lets go of a socket's read buffer when a message outlives the turn in which it arrived.

import type { Message } from "./message.ts";

/** Copies of up to a quarter of this many bytes share such a piece of memory. (Node's own pool has pieces of 64 KB.) */
const SLAB_BYTES = 8 * 1024;
const MAX_SHARED_BYTES = SLAB_BYTES / 4;
/** A view that is at least this part of its memory may stay a view. */
const WORTHWHILE_PART = 0.5;

let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let slabUsed = 0;

/**
 * Replaces a payload (and correlation data) that is a small view of a large buffer by a copy, so that a waiting message
 * of a few bytes does not keep 64 KB. The message is changed in place: all who share it profit.
 */
export function detachPayload(message: Message): void {
  const { payload } = message;
  if (isSmallView(payload)) (message as { payload: Uint8Array }).payload = copyOf(payload);
  const correlationData = message.properties?.correlationData;
  if (correlationData !== undefined && isSmallView(correlationData)) {
    (message as { properties: unknown }).properties = {
      ...message.properties,
      correlationData: copyOf(correlationData),
    };
  }
}

function isSmallView(bytes: Uint8Array): boolean {
  const whole = bytes.buffer.byteLength;
  return whole > SLAB_BYTES && bytes.byteLength < whole * WORTHWHILE_PART;
}

function copyOf(bytes: Uint8Array): Buffer {
  const { length } = bytes;
  if (length > MAX_SHARED_BYTES) {
    const copy = Buffer.allocUnsafeSlow(length);
    copy.set(bytes);
    return copy;
  }
  if (slabUsed + length > SLAB_BYTES) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    slabUsed = 0;
  }
  const copy = slab.subarray(slabUsed, slabUsed + length);
  copy.set(bytes);
  slabUsed += length;
  return copy;
}
