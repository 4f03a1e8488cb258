// The fields of which frames are made: numbers, texts, bytes, ids, lists; read from one frame, written into a row of frames.

import { isUtf8 } from "node:buffer";
import { utf8Length, writeUtf8 } from "../mqtt/codec/utf8.ts";
import { fromBytes, MESSAGE_ID_BYTES, type MessageId } from "../mqtt/message-id.ts";
import { LinkProtocolError } from "./link-error.ts";

/** What the two bytes of a text's length can tell. */
export const MAX_TEXT_BYTES = 65_535;

const TWO_32 = 2 ** 32;
const LENGTH_BYTES = 4;
const FIRST_SIZE = 4096;
/** A buffer that has grown above this is not kept for the next row. */
const KEPT_SIZE = 256 * 1024;

/** A position in one frame. Everything throws `LinkProtocolError` where the frame has too few bytes. */
export class FieldReader {
  readonly opcode: number;
  readonly #frame: Buffer;
  #at = 1;

  constructor(frame: Buffer) {
    this.#frame = frame;
    this.opcode = frame[0] as number;
  }

  u8(): number {
    return this.#frame[this.#skip(1)] as number;
  }

  u16(): number {
    return this.#frame.readUInt16BE(this.#skip(2));
  }

  u32(): number {
    return this.#frame.readUInt32BE(this.#skip(4));
  }

  /** At most 2^53 − 1. */
  u64(): number {
    const value = this.u64Rounded();
    if (!Number.isSafeInteger(value)) throw this.#wrong("has a number above 2^53 − 1");
    return value;
  }

  /** Above 2^53 − 1, the nearest number that there is. */
  u64Rounded(): number {
    return this.u32() * TWO_32 + this.u32();
  }

  /** So many bytes, as a view. */
  fixed(length: number): Buffer {
    const start = this.#skip(length);
    return this.#frame.subarray(start, start + length);
  }

  id(): MessageId {
    return fromBytes(this.fixed(MESSAGE_ID_BYTES));
  }

  /** The bytes of a `text`, as a view: correlation data, and what need not be UTF-8. */
  textBytes(): Buffer {
    return this.fixed(this.u16());
  }

  /** Undefined: its bytes are no UTF-8, or have U+0000, which MQTT allows in no text. */
  textOrNone(): string | undefined {
    const bytes = this.textBytes();
    if (!isUtf8(bytes)) return undefined;
    const text = bytes.toString("utf8");
    return text.includes("\0") ? undefined : text;
  }

  text(): string {
    const text = this.textOrNone();
    if (text === undefined) throw this.#wrong("has a text that is no UTF-8");
    return text;
  }

  /** Of `bytes`, as a view. */
  bytes(): Buffer {
    return this.fixed(this.u32());
  }

  list<Entry>(read: () => Entry): Entry[] {
    const length = this.u32();
    const entries: Entry[] = [];
    // What claims to be long ends with the frame.
    for (let index = 0; index < length; index++) entries.push(read());
    return entries;
  }

  /** To be called after the last field. */
  end(): void {
    const left = this.#frame.length - this.#at;
    if (left > 0) throw this.#wrong(`has ${left} bytes behind its end`);
  }

  #wrong(problem: string): LinkProtocolError {
    return new LinkProtocolError(`the frame ${hex(this.opcode)} ${problem}`);
  }

  #skip(length: number): number {
    const start = this.#at;
    if (start + length > this.#frame.length) throw this.#wrong("ends in the middle of a field");
    this.#at = start + length;
    return start;
  }
}

/** An opcode as docs/emqx-link.md has it. */
export function hex(opcode: number): string {
  return opcode.toString(16).padStart(2, "0");
}

/** A row of frames that is being written. */
export class FrameWriter {
  #buffer = Buffer.allocUnsafe(FIRST_SIZE);
  #at = 0;
  #start = 0;

  /** Bytes of the frames so far. */
  get length(): number {
    return this.#at;
  }

  begin(opcode: number): this {
    this.#start = this.#at;
    this.#room(LENGTH_BYTES + 1);
    this.#at += LENGTH_BYTES;
    this.#buffer[this.#at++] = opcode;
    return this;
  }

  /** Ends the frame; returns its length as it stands in front of it. */
  end(): number {
    const length = this.#at - this.#start - LENGTH_BYTES;
    this.#buffer.writeUInt32BE(length, this.#start);
    return length;
  }

  /** Takes out all that was written. */
  take(): Buffer {
    const frames = this.#buffer.subarray(0, this.#at);
    const size = this.#buffer.length > KEPT_SIZE ? FIRST_SIZE : this.#buffer.length;
    this.#buffer = Buffer.allocUnsafe(size);
    this.#at = 0;
    return frames;
  }

  u8(value: number): this {
    this.#room(1);
    this.#buffer[this.#at++] = value;
    return this;
  }

  u16(value: number): this {
    this.#room(2);
    this.#at = this.#buffer.writeUInt16BE(value, this.#at);
    return this;
  }

  u32(value: number): this {
    this.#room(4);
    this.#at = this.#buffer.writeUInt32BE(value, this.#at);
    return this;
  }

  u64(value: number): this {
    return this.u32(Math.floor(value / TWO_32)).u32(value % TWO_32);
  }

  /** Without a length. */
  fixed(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }

  id(id: MessageId): this {
    this.#room(MESSAGE_ID_BYTES);
    this.#at += this.#buffer.write(id, this.#at, MESSAGE_ID_BYTES, "hex");
    return this;
  }

  /** At most 65,535 bytes of UTF-8. */
  text(text: string): this {
    const length = utf8Length(text);
    this.u16(length).#room(length);
    writeUtf8(this.#buffer, this.#at, text, length);
    this.#at += length;
    return this;
  }

  textBytes(bytes: Uint8Array): this {
    return this.u16(bytes.length).fixed(bytes);
  }

  bytes(bytes: Uint8Array): this {
    return this.u32(bytes.length).fixed(bytes);
  }

  list<Entry>(entries: readonly Entry[], write: (entry: Entry) => void): this {
    this.u32(entries.length);
    for (const entry of entries) write(entry);
    return this;
  }

  #room(needed: number): void {
    if (this.#at + needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + needed));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

/** For people: a sentence of any length, cut so that it fits. */
export function shortText(text: string): string {
  const MAX = 4000;
  const wellFormed = text.toWellFormed().replaceAll("\0", "");
  return wellFormed.length <= MAX ? wellFormed : `${wellFormed.slice(0, MAX).toWellFormed()}…`;
}
