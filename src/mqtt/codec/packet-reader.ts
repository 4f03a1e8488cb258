// Reads the data types of MQTT (1.5) out of one packet, and makes the errors that name it.

import { ReasonCode } from "../reason-code.ts";
import { type DecodeReasonCode, MqttDecodeError } from "./errors.ts";
import type { PacketType, ProtocolVersion } from "./packets.ts";
import { readUtf8 } from "./utf8.ts";

/** Four groups of 7 bits (1.5.5). */
const MAX_VARIABLE_BYTES = 4;

/** A position in the bytes of one packet. One reader serves all packets of a decoder, one after the other. */
export class PacketReader {
  /** Of the packet being read, for errors. */
  packetType: PacketType | undefined = undefined;
  version: ProtocolVersion | undefined = undefined;
  #buffer: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  /** Starts on the bytes from `start` to `end`, the packet without its fixed header. */
  reset(packetType: PacketType, buffer: Buffer, start: number, end: number): void {
    this.packetType = packetType;
    this.#buffer = buffer;
    this.#at = start;
    this.#end = end;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  readByte(): number {
    if (this.#at >= this.#end) throw this.#truncated();
    return this.#buffer[this.#at++] as number;
  }

  readUint16(): number {
    const at = this.#at;
    if (at + 2 > this.#end) throw this.#truncated();
    this.#at = at + 2;
    return ((this.#buffer[at] as number) << 8) | (this.#buffer[at + 1] as number);
  }

  readUint32(): number {
    return this.readUint16() * 0x10000 + this.readUint16();
  }

  /** [MQTT-1.5.5-1]: no more bytes than are needed. */
  readVariableByteInteger(): number {
    let value = 0;
    for (let bytes = 0; bytes < MAX_VARIABLE_BYTES; bytes++) {
      const byte = this.readByte();
      value |= (byte & 0x7f) << (7 * bytes);
      if (byte < 0x80) {
        if (byte === 0 && bytes > 0) throw this.malformed("a variable byte integer has more bytes than it needs");
        return value;
      }
    }
    throw this.malformed("a variable byte integer has more than four bytes");
  }

  /** A view of the bytes, not a copy. */
  readBinary(): Buffer {
    return this.#view(this.readUint16());
  }

  readText(): string {
    const length = this.readUint16();
    const start = this.#at;
    const end = start + length;
    if (end > this.#end) throw this.#truncated();
    this.#at = end;
    const text = readUtf8(this.#buffer, start, end);
    if (text === undefined) throw this.malformed("a text is not well-formed UTF-8 or contains U+0000");
    return text;
  }

  /** [MQTT-2.2.1-2, -3]: not 0. */
  readPacketId(): number {
    const packetId = this.readUint16();
    if (packetId === 0) throw this.protocolError("its packet identifier is 0");
    return packetId;
  }

  /** All that is left, a view and not a copy. */
  readRest(): Buffer {
    return this.#view(this.#end - this.#at);
  }

  /** From now on there are `length` bytes; returns the end to give to `widen` when they are read. */
  narrow(length: number): number {
    const end = this.#end;
    if (this.#at + length > end) throw this.#truncated();
    this.#end = this.#at + length;
    return end;
  }

  widen(end: number): void {
    this.#end = end;
  }

  expectEnd(): void {
    if (this.#at < this.#end) throw this.malformed(`${this.#end - this.#at} bytes follow its end`);
  }

  malformed(problem: string): MqttDecodeError {
    return this.error(ReasonCode.MalformedPacket, problem);
  }

  protocolError(problem: string): MqttDecodeError {
    return this.error(ReasonCode.ProtocolError, problem);
  }

  error(reasonCode: DecodeReasonCode, problem: string, protocolLevel?: number): MqttDecodeError {
    const name = this.packetType === undefined ? "packet" : this.packetType.toUpperCase();
    return new MqttDecodeError(reasonCode, `The ${name} is refused: ${problem.replace(/\.$/, "")}.`, {
      packetType: this.packetType,
      version: this.version,
      protocolLevel,
    });
  }

  #view(length: number): Buffer {
    const start = this.#at;
    if (start + length > this.#end) throw this.#truncated();
    this.#at = start + length;
    return this.#buffer.subarray(start, start + length);
  }

  #truncated(): MqttDecodeError {
    return this.malformed("it ends in the middle of a field");
  }
}
