// EMQX's base62, and the form of a message id that the offline message plugin keeps in Redis.
//
// The 6-bit values 0 to 60 are one character each (A-Z, a-z, 0-8), 61 to 63 are two (9A, 9B, 9C), so the length varies.
// Whole 3-byte blocks go as in base64; in a shorter last block the remaining bits are the value of the last index as they
// are (base64 would shift them left).

import { CodedError } from "./coded-error.ts";
import { type MessageId, parseMessageId } from "./message-id.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz012345678";
const ESCAPE = "9".charCodeAt(0);
const FIRST_ESCAPED = 61;
const LETTER_A = "A".charCodeAt(0);

const CHARACTER_OF_INDEX = Uint8Array.from(ALPHABET, (character) => character.charCodeAt(0));
const NO_INDEX = 0xff;
const INDEX_OF_CHARACTER = new Uint8Array(256).fill(NO_INDEX);
for (const [index, character] of CHARACTER_OF_INDEX.entries()) INDEX_OF_CHARACTER[character] = index;

/** Of the 4 indexes of 3 bytes each may take two characters. */
const MAX_GROWTH = 8 / 3;
const MAX_TAIL = 6;

const MAX_MESSAGE_ID = 2n ** 128n - 1n;

/** Text that is not what the base62 encoder puts out. */
export class Base62Error extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("BASE62_INVALID", message, options);
  }
}

/** emqx_base62:encode. Text is encoded as UTF-8 first. */
export function encodeBase62(data: Uint8Array | string): string {
  const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : data;
  const text = Buffer.allocUnsafe(Math.ceil(bytes.length * MAX_GROWTH) + MAX_TAIL);
  let length = 0;
  const put = (value: number): void => {
    const index = value & 0x3f;
    if (index >= FIRST_ESCAPED) {
      text[length++] = ESCAPE;
      text[length++] = LETTER_A + index - FIRST_ESCAPED;
    } else text[length++] = CHARACTER_OF_INDEX[index] as number;
  };
  let at = 0;
  for (; at + 3 <= bytes.length; at += 3) {
    const block = (byteAt(bytes, at) << 16) | (byteAt(bytes, at + 1) << 8) | byteAt(bytes, at + 2);
    put(block >> 18);
    put(block >> 12);
    put(block >> 6);
    put(block);
  }
  if (bytes.length - at === 2) {
    const block = (byteAt(bytes, at) << 8) | byteAt(bytes, at + 1);
    put(block >> 10);
    put(block >> 4);
    put(block & 0xf);
  } else if (bytes.length - at === 1) {
    const block = byteAt(bytes, at);
    put(block >> 2);
    put(block & 0x3);
  }
  return text.toString("latin1", 0, length);
}

/**
 * emqx_base62:decode, with its leniency: any character may follow a `9`, and a last single character gives as many of
 * its low bits as fill the last byte. Throws `Base62Error` where the original crashes (a character outside the
 * alphabet, a `9` at the end) and where it gives bits that are not whole bytes.
 */
export function decodeBase62(text: string): Buffer {
  const characters = Buffer.from(text, "utf8");
  const bytes = Buffer.allocUnsafe(characters.length);
  let length = 0;
  let pending = 0;
  let pendingBits = 0;
  let at = 0;
  while (at < characters.length) {
    const isLast = at === characters.length - 1;
    const character = byteAt(characters, at);
    let value: number;
    if (character === ESCAPE && !isLast) {
      value = (FIRST_ESCAPED + byteAt(characters, at + 1) - LETTER_A) & 0x3f;
      at += 2;
    } else {
      const index = INDEX_OF_CHARACTER[character] as number;
      if (index === NO_INDEX) throw new Base62Error(`No base62: unexpected character at ${at} of ${quote(text)}.`);
      value = index;
      at += 1;
    }
    const bits = isLast ? 8 - pendingBits : 6;
    pending = (pending << bits) | (value & ((1 << bits) - 1));
    pendingBits += bits;
    if (pendingBits >= 8) {
      pendingBits -= 8;
      bytes[length++] = (pending >> pendingBits) & 0xff;
      pending &= (1 << pendingBits) - 1;
    }
  }
  if (pendingBits !== 0) throw new Base62Error(`No base62: ${quote(text)} does not end at a whole byte.`);
  return bytes.subarray(0, length);
}

/**
 * The plugin's `to_b62`: the id as an unsigned number, printed in decimal, and those digits in base62. It is what the
 * plugin has kept in Redis since EMQX 4. Throws `MessageIdError` for no id.
 */
export function toB62(id: MessageId): string {
  return encodeBase62(BigInt(`0x${parseMessageId(id)}`).toString());
}

/** Reads what `toB62` puts out. Throws `Base62Error`. */
export function fromB62(text: string): MessageId {
  const digits = decodeBase62(text).toString("latin1");
  if (!/^[0-9]{1,39}$/.test(digits)) throw new Base62Error(`No message id in base62: ${quote(text)}.`);
  const value = BigInt(digits);
  if (value > MAX_MESSAGE_ID) throw new Base62Error(`A message id has 128 bits; ${quote(text)} has more.`);
  return value.toString(16).toUpperCase().padStart(32, "0");
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] as number;
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
