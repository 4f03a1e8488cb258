// Cuts the bytes of a connection into frames, within their limit.

import { LinkProtocolError } from "./link-error.ts";

const LENGTH_BYTES = 4;

export class FrameReader {
  #limit: number;
  /** Bytes that are not handed over yet, in order; the first one begins at `#at`. */
  #chunks: Buffer[] = [];
  #at = 0;
  #bytes = 0;

  /** `limit`: the longest frame, in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** From the next frame on. */
  set limit(limit: number) {
    this.#limit = limit;
  }

  /** Bytes that wait here. One frame and what came along with its end, at most, if `next` is called until it has none. */
  get size(): number {
    return this.#bytes;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /**
   * The next frame, opcode first, without its length: a view of what was pushed. Undefined: it is not whole yet. Throws
   * `LinkProtocolError` as soon as its length is known to be wrong.
   */
  next(): Buffer | undefined {
    if (this.#bytes < LENGTH_BYTES) return undefined;
    const length = this.#length();
    if (length === 0) throw new LinkProtocolError("a frame has the length 0");
    if (length > this.#limit) {
      throw new LinkProtocolError(`a frame of ${length} bytes is above the limit of ${this.#limit}`);
    }
    const end = LENGTH_BYTES + length;
    if (this.#bytes < end) return undefined;
    const first = this.#joined(end);
    const frame = first.subarray(this.#at + LENGTH_BYTES, this.#at + end);
    this.#at += end;
    this.#bytes -= end;
    if (this.#at === first.length) {
      this.#chunks.shift();
      this.#at = 0;
    }
    return frame;
  }

  #length(): number {
    let length = 0;
    let index = 0;
    let at = this.#at;
    for (let read = 0; read < LENGTH_BYTES; read++) {
      while (at === (this.#chunks[index] as Buffer).length) {
        index += 1;
        at = 0;
      }
      length = length * 256 + ((this.#chunks[index] as Buffer)[at] as number);
      at += 1;
    }
    return length;
  }

  /** The first chunk, with so many bytes in it: joined only once they are all there. */
  #joined(needed: number): Buffer {
    const first = this.#chunks[0] as Buffer;
    if (first.length - this.#at >= needed) return first;
    const all = Buffer.concat([first.subarray(this.#at), ...this.#chunks.slice(1)]);
    this.#chunks = [all];
    this.#at = 0;
    return all;
  }
}
