// UTF-8 Encoded Strings (1.5.4): strict when read, exact when written, fast for ASCII.

import { isUtf8 } from "node:buffer";

/** Up to this many bytes a loop is faster than a call into the runtime. */
const SHORT_BYTES = 24;

/** What the two bytes of its length can tell (1.5.4). */
const MAX_BYTES = 65_535;

const FIRST_NON_ASCII = 0x80;

/**
 * Decodes the bytes from `start` to `end`. Undefined when they are not well-formed UTF-8 (surrogates and overlong forms
 * included) or contain U+0000 [MQTT-1.5.4-1, -2]. A byte order mark is kept as the character that it is [MQTT-1.5.4-3].
 */
export function readUtf8(buffer: Buffer, start: number, end: number): string | undefined {
  for (let at = start; at < end; at++) {
    const byte = buffer[at] as number;
    if (byte === 0) return undefined;
    if (byte >= FIRST_NON_ASCII) return readNonAscii(buffer.subarray(start, end));
  }
  return buffer.toString("latin1", start, end);
}

function readNonAscii(bytes: Buffer): string | undefined {
  if (!isUtf8(bytes) || bytes.includes(0)) return undefined;
  return bytes.toString("utf8");
}

/** Whether the text can be written as a UTF-8 Encoded String: well-formed, without U+0000, at most 65,535 bytes. */
export function isUtf8EncodedString(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed() && utf8Length(text) <= MAX_BYTES;
}

/** How many bytes the text takes in UTF-8. */
export function utf8Length(text: string): number {
  if (text.length > SHORT_BYTES) return Buffer.byteLength(text);
  for (let at = 0; at < text.length; at++) {
    if (text.charCodeAt(at) >= FIRST_NON_ASCII) return Buffer.byteLength(text);
  }
  return text.length;
}

/** Writes the text at `at`; `length` is what `utf8Length` gave. */
export function writeUtf8(buffer: Buffer, at: number, text: string, length: number): void {
  if (length !== text.length) {
    buffer.write(text, at, length, "utf8");
  } else if (length > SHORT_BYTES) {
    buffer.write(text, at, length, "latin1");
  } else {
    for (let index = 0; index < length; index++) buffer[at + index] = text.charCodeAt(index);
  }
}
