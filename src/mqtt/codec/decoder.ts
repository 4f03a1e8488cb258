// Cuts a stream of bytes into packets: chunks go in as the socket gives them, packets come out one by one.
//
// A packet that lies in one chunk is read where it is, and its payload is a view of that chunk. A packet that is spread
// over chunks is collected in a buffer of its own size, allocated once its fixed header is complete and found to be
// within `maxPacketSize`: each byte is copied once, and nothing is read twice however small the chunks are.

import { ReasonCode } from "../reason-code.ts";
import type { MqttDecodeError } from "./errors.ts";
import { parsePacket } from "./packet-parser.ts";
import { PacketReader } from "./packet-reader.ts";
import { PACKET_TYPES, type Packet, type PacketType, type ProtocolVersion, type PublishPacket } from "./packets.ts";

/** In bytes; EMQX's default too. */
export const DEFAULT_MAX_PACKET_SIZE = 1_048_576;

/** A type, flags, and at most four bytes of Remaining Length (2.1). */
const MAX_FIXED_HEADER_BYTES = 5;

/** The low four bits of the fixed header that each packet type must have; PUBLISH has a use for them (2.1.3). */
const REQUIRED_FLAGS: Partial<Record<PacketType, number>> = { pubrel: 2, subscribe: 2, unsubscribe: 2 };

const FROM_CLIENT_ONLY: ReadonlySet<PacketType> = new Set(["connect", "subscribe", "unsubscribe", "pingreq"]);
const FROM_SERVER_ONLY: ReadonlySet<PacketType> = new Set(["connack", "suback", "unsuback", "pingresp"]);

const NOTHING = Buffer.alloc(0);

export interface PacketDecoderOptions {
  /** Whose packets are read; the default is a client's, which begin with CONNECT. */
  readonly sender?: "client" | "server";
  /** What a server speaks; a client's CONNECT tells. */
  readonly version?: ProtocolVersion;
  /** In bytes, fixed header included; larger packets are refused as soon as their size is known. */
  readonly maxPacketSize?: number;
}

/**
 * Push what arrives, then take packets with `next` until it gives none. Packets not yet taken stay as bytes, so that a
 * reader that is busy may take the rest later. After an error the stream cannot be read on.
 */
export class PacketDecoder {
  readonly #sender: "client" | "server";
  readonly #maxPacketSize: number;
  readonly #reader = new PacketReader();

  /** The chunk being read, and those behind it. */
  #chunk: Buffer = NOTHING;
  #at = 0;
  readonly #waiting: Buffer[] = [];

  /** The fixed header, as far as it is read. */
  #headerBytes = 0;
  #firstByte = 0;
  #remainingLength = 0;
  #isOverlong = false;

  /** A packet that is spread over chunks, as far as it is collected. */
  #collected: Buffer | undefined = undefined;
  #collectedBytes = 0;

  #error: MqttDecodeError | undefined = undefined;

  constructor(options: PacketDecoderOptions = {}) {
    this.#sender = options.sender ?? "client";
    this.#maxPacketSize = options.maxPacketSize ?? DEFAULT_MAX_PACKET_SIZE;
    this.#reader.version = options.version;
  }

  /** Known once a CONNECT was read. */
  get version(): ProtocolVersion | undefined {
    return this.#reader.version;
  }

  /** Bytes of a packet that is not complete; at most `maxPacketSize`. */
  get bufferedBytes(): number {
    return this.#collected === undefined ? this.#headerBytes : this.#headerBytes + this.#collectedBytes;
  }

  /** The chunk must not change afterwards: payloads are views of it. */
  push(chunk: Buffer): void {
    if (this.#error !== undefined) return;
    if (this.#at === this.#chunk.length) {
      this.#chunk = chunk;
      this.#at = 0;
    } else {
      this.#waiting.push(chunk);
    }
  }

  /** The next packet; undefined when more bytes are needed. Throws `MqttDecodeError`, the same again when called again. */
  next(): Packet | undefined {
    if (this.#error !== undefined) throw this.#error;
    try {
      return this.#next();
    } catch (error) {
      this.#error = error as MqttDecodeError;
      this.#chunk = NOTHING;
      this.#at = 0;
      this.#waiting.length = 0;
      this.#collected = undefined;
      throw error;
    }
  }

  #next(): Packet | undefined {
    while (this.#at < this.#chunk.length || this.#nextChunk()) {
      if (this.#collected !== undefined) {
        if (this.#collect(this.#collected)) return this.#parse(this.#collected, 0, this.#collected.length);
      } else if (this.#readFixedHeader()) {
        const start = this.#at;
        const end = start + this.#remainingLength;
        if (end <= this.#chunk.length) {
          this.#at = end;
          return this.#parse(this.#chunk, start, end);
        }
        this.#collected = Buffer.allocUnsafe(this.#remainingLength);
        this.#collectedBytes = 0;
      }
    }
    return undefined;
  }

  /** Lets go of the chunk that is read, and returns whether there is another. */
  #nextChunk(): boolean {
    const chunk = this.#waiting.shift();
    this.#chunk = chunk ?? NOTHING;
    this.#at = 0;
    return chunk !== undefined;
  }

  /** Reads on in the fixed header; returns whether it is complete. */
  #readFixedHeader(): boolean {
    const chunk = this.#chunk;
    while (this.#at < chunk.length) {
      const byte = chunk[this.#at++] as number;
      if (this.#headerBytes === 0) {
        this.#firstByte = byte;
        this.#remainingLength = 0;
        this.#headerBytes = 1;
        this.#checkFirstByte();
        continue;
      }
      this.#remainingLength += (byte & 0x7f) << (7 * (this.#headerBytes - 1));
      this.#headerBytes += 1;
      if (byte < 0x80) {
        this.#isOverlong = byte === 0 && this.#headerBytes > 2;
        this.#checkRemainingLength();
        return true;
      }
      if (this.#headerBytes === MAX_FIXED_HEADER_BYTES) {
        throw this.#reader.malformed("its remaining length has more than four bytes");
      }
    }
    return false;
  }

  #checkFirstByte(): void {
    const reader = this.#reader;
    const type = PACKET_TYPES[this.#firstByte >> 4];
    reader.packetType = type;
    if (type === undefined) throw reader.malformed("its packet type is 0");
    if (this.#sender === "server") {
      if (FROM_CLIENT_ONLY.has(type)) throw reader.protocolError("a server never sends it");
    } else {
      if (FROM_SERVER_ONLY.has(type)) throw reader.protocolError("a client never sends it");
      if (reader.version === undefined && type !== "connect") {
        throw reader.protocolError("the first packet must be CONNECT"); // [MQTT-3.1.0-1]
      }
      if (reader.version !== undefined && type === "connect") {
        throw reader.protocolError("it came a second time"); // [MQTT-3.1.0-2]
      }
    }
    if (type !== "connect") this.#checkFlags(type);
  }

  /** [MQTT-2.1.3-1]. MQTT 3.1 leaves the flags of most packets undefined. */
  #checkFlags(type: PacketType): void {
    if (type === "publish" || this.#reader.version === 3) return;
    const flags = this.#firstByte & 0x0f;
    const required = REQUIRED_FLAGS[type] ?? 0;
    if (flags !== required) throw this.#reader.malformed(`its flags are ${flags} instead of ${required}`);
  }

  #checkRemainingLength(): void {
    const size = this.#headerBytes + this.#remainingLength;
    if (size > this.#maxPacketSize) {
      const problem = `it has ${size} bytes, the limit is ${this.#maxPacketSize}`;
      throw this.#reader.error(ReasonCode.PacketTooLarge, problem);
    }
    if (this.#reader.packetType !== "connect") this.#checkOverlong();
  }

  /** [MQTT-1.5.5-1]; the versions before MQTT 5 have no such rule. */
  #checkOverlong(): void {
    if (this.#isOverlong && this.#reader.version === 5) {
      throw this.#reader.malformed("its remaining length has more bytes than it needs");
    }
  }

  /** Copies what the chunk has of the packet; returns whether the packet is complete. */
  #collect(collected: Buffer): boolean {
    const end = Math.min(this.#chunk.length, this.#at + collected.length - this.#collectedBytes);
    this.#collectedBytes += this.#chunk.copy(collected, this.#collectedBytes, this.#at, end);
    this.#at = end;
    return this.#collectedBytes === collected.length;
  }

  #parse(buffer: Buffer, start: number, end: number): Packet {
    const type = this.#reader.packetType as PacketType;
    this.#headerBytes = 0;
    this.#collected = undefined;
    this.#reader.reset(type, buffer, start, end);
    const packet = parsePacket(this.#reader, type, this.#firstByte & 0x0f);
    if (type === "connect") {
      // These depend on the version, which only the packet itself told.
      this.#checkFlags(type);
      this.#checkOverlong();
    } else if (type === "publish" && this.#sender === "client") {
      this.#checkClientPublish(packet as PublishPacket);
    }
    return packet;
  }

  /** [MQTT-3.3.4-6] */
  #checkClientPublish(packet: PublishPacket): void {
    if (packet.properties?.subscriptionIdentifiers !== undefined) {
      throw this.#reader.protocolError("a client never sends a subscription identifier in it");
    }
  }
}
