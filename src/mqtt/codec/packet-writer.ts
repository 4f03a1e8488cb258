// Writes the data types of MQTT (1.5) into a buffer.

import { MqttEncodeError } from "./errors.ts";
import { utf8Length, writeUtf8 } from "./utf8.ts";

/** What the two-byte length of texts and binary data can tell (1.5.4, 1.5.6). */
const MAX_TEXT_BYTES = 65_535;

/** What the four bytes of a variable byte integer can tell (1.5.5). */
const MAX_VARIABLE_BYTE_INTEGER = 268_435_455;

/** How many bytes the text takes with its two-byte length. Throws `MqttEncodeError`. */
export function textLength(text: string): number {
  const length = utf8Length(text);
  if (length > MAX_TEXT_BYTES) throw tooLong("A text", length, MAX_TEXT_BYTES);
  return 2 + length;
}

/** Throws `MqttEncodeError`. */
export function variableByteIntegerLength(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  if (value <= MAX_VARIABLE_BYTE_INTEGER) return 4;
  throw tooLong("A packet, or a number in it,", value, MAX_VARIABLE_BYTE_INTEGER);
}

function tooLong(what: string, length: number, limit: number): MqttEncodeError {
  return new MqttEncodeError(`${what} of ${length} is above MQTT's limit of ${limit}: send less.`);
}

/** Where the data types are written to. */
export interface PacketSink {
  writeByte(value: number): void;
  writeUint16(value: number): void;
  writeUint32(value: number): void;
  writeVariableByteInteger(value: number): void;
  /** Throws `MqttEncodeError` when the text is too long. */
  writeText(text: string): void;
  /** Throws `MqttEncodeError` when the data is too long. */
  writeBinary(data: Uint8Array): void;
}

/** Counts what would be written. */
export class LengthCounter implements PacketSink {
  length = 0;

  writeByte(): void {
    this.length += 1;
  }

  writeUint16(): void {
    this.length += 2;
  }

  writeUint32(): void {
    this.length += 4;
  }

  writeVariableByteInteger(value: number): void {
    this.length += variableByteIntegerLength(value);
  }

  writeText(text: string): void {
    this.length += textLength(text);
  }

  writeBinary(data: Uint8Array): void {
    if (data.length > MAX_TEXT_BYTES) throw tooLong("Binary data", data.length, MAX_TEXT_BYTES);
    this.length += 2 + data.length;
  }
}

/** A position in a buffer that has room for all that is written: count first. */
export class PacketWriter implements PacketSink {
  readonly buffer: Buffer;
  #at = 0;

  constructor(buffer: Buffer) {
    this.buffer = buffer;
  }

  writeByte(value: number): void {
    this.buffer[this.#at++] = value;
  }

  writeUint16(value: number): void {
    this.buffer[this.#at] = value >> 8;
    this.buffer[this.#at + 1] = value;
    this.#at += 2;
  }

  writeUint32(value: number): void {
    this.buffer.writeUInt32BE(value, this.#at);
    this.#at += 4;
  }

  writeVariableByteInteger(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.writeByte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.writeByte(rest);
  }

  writeText(text: string): void {
    const length = utf8Length(text);
    this.writeUint16(length);
    writeUtf8(this.buffer, this.#at, text, length);
    this.#at += length;
  }

  writeBinary(data: Uint8Array): void {
    this.writeUint16(data.length);
    this.writeBytes(data);
  }

  writeBytes(data: Uint8Array): void {
    this.buffer.set(data, this.#at);
    this.#at += data.length;
  }
}
