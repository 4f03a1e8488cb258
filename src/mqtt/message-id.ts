// Message ids: 16 bytes as EMQX's emqx_guid makes them, held as text.
//
// Big-endian: 8 bytes of time in microseconds since the epoch, 6 bytes that tell one generator from another, and a
// 16-bit counter. EMQX derives the 6 bytes from its node and process; any other generator takes random ones.

import { randomBytes } from "node:crypto";
import { CodedError } from "./coded-error.ts";

/** 32 upper-case hexadecimal digits. Compares in publish order as text. */
export type MessageId = string;

export const MESSAGE_ID_BYTES = 16;

const FINGERPRINT_BYTES = 6;
const MESSAGE_ID_TEXT = /^[0-9A-F]{32}$/;

/** Text, bytes or a number that is no message id, or an id that leaves no room above it. */
export class MessageIdError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("MESSAGE_ID_INVALID", message, options);
  }
}

/** Whether the text is a message id in the form used everywhere inside: 32 upper-case hexadecimal digits. */
export function isMessageId(text: string): boolean {
  return MESSAGE_ID_TEXT.test(text);
}

/** Reads 32 hexadecimal digits of either case, as emqx_guid:from_hexstr does. Throws `MessageIdError`. */
export function parseMessageId(text: string): MessageId {
  const id = text.toUpperCase();
  if (text.length !== 32 || !isMessageId(id)) {
    throw new MessageIdError(`A message id is 32 hexadecimal digits, not ${JSON.stringify(text.slice(0, 80))}.`);
  }
  return id;
}

/** The 16 bytes of an id. Throws `MessageIdError`. */
export function toBytes(id: MessageId): Uint8Array {
  return Buffer.from(parseMessageId(id), "hex");
}

/** The id of 16 bytes. Throws `MessageIdError`. */
export function fromBytes(bytes: Uint8Array): MessageId {
  if (bytes.length !== MESSAGE_ID_BYTES) {
    throw new MessageIdError(`A message id has ${MESSAGE_ID_BYTES} bytes, not ${bytes.length}.`);
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex").toUpperCase();
}

/** When the id was made, in microseconds since the epoch. Throws `MessageIdError`. */
export function timestampOf(id: MessageId): bigint {
  return BigInt(`0x${parseMessageId(id).slice(0, 16)}`);
}

/** An id below all that are made from this time on; in ms since the epoch. */
export function lowestIdAt(milliseconds: number): MessageId {
  return (milliseconds * 1000).toString(16).toUpperCase().padStart(16, "0").padEnd(32, "0");
}

export interface MessageIdGeneratorOptions {
  /** The time in microseconds since the epoch; the default is the system clock. */
  readonly now?: () => bigint | number;
  /** 6 bytes; the default is random ones. */
  readonly fingerprint?: Uint8Array;
}

/** Two hexadecimal digits for each byte, so that making an id is joining a few short texts. */
const HEX_OF_BYTE = Array.from({ length: 256 }, (_, byte) => byte.toString(16).toUpperCase().padStart(2, "0"));

/** The time's low 24 bits change with each id, the bits above them every 16 seconds. */
const LOW_TIME = 2 ** 24;

/**
 * Makes ids that rise strictly, also while the clock stands still or steps back: the time of each is at least one
 * microsecond after that of the one before.
 */
export class MessageIdGenerator {
  readonly #now: () => bigint | number;
  readonly #fingerprint: string;
  #lastTime = -1;
  #counter = 0;
  #highTime = -1;
  #highTimeText = "";

  /** Throws `MessageIdError` for a fingerprint that has not 6 bytes. */
  constructor(options: MessageIdGeneratorOptions = {}) {
    const fingerprint = options.fingerprint ?? randomBytes(FINGERPRINT_BYTES);
    if (fingerprint.length !== FINGERPRINT_BYTES) {
      throw new MessageIdError(`A fingerprint has ${FINGERPRINT_BYTES} bytes, not ${fingerprint.length}.`);
    }
    this.#fingerprint = Buffer.from(fingerprint).toString("hex").toUpperCase();
    this.#now = options.now ?? (() => Date.now() * 1000);
  }

  next(): MessageId {
    const now = Number(this.#now());
    const time = now > this.#lastTime ? now : this.#lastTime + 1;
    this.#lastTime = time;
    const counter = this.#counter;
    this.#counter = (counter + 1) & 0xffff;

    const high = Math.floor(time / LOW_TIME);
    if (high !== this.#highTime) {
      this.#highTime = high;
      this.#highTimeText = high.toString(16).toUpperCase().padStart(10, "0");
    }
    const low = time % LOW_TIME;
    return (
      this.#highTimeText +
      HEX_OF_BYTE[low >> 16] +
      HEX_OF_BYTE[(low >> 8) & 0xff] +
      HEX_OF_BYTE[low & 0xff] +
      this.#fingerprint +
      HEX_OF_BYTE[counter >> 8] +
      HEX_OF_BYTE[counter & 0xff]
    );
  }

  /**
   * Makes all later ids greater than this one, so that what a broker publishes after a restart comes after what its
   * store holds. Throws `MessageIdError` for no id, and for one made after the year 2255, which only a broken clock does.
   */
  advancePast(id: MessageId): void {
    const time = timestampOf(id);
    if (time >= BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new MessageIdError(`The message id ${id} carries a time after the year 2255: remove it from the store.`);
    }
    this.#lastTime = Math.max(this.#lastTime, Number(time));
  }
}
