// Cuts a stream of MQTT packets into frames, and knows nothing more about them.

/** Called for each frame: its first byte, and where its body begins and ends in the buffer. */
export type FrameVisitor = (firstByte: number, buffer: Buffer, start: number, end: number) => void;

/** What is kept of a frame that has not come whole, in bytes; a longer one is an error. */
const MAX_PARTIAL = 1024 * 1024;

const EMPTY = Buffer.alloc(0);

export class FrameScanner {
  readonly #visit: FrameVisitor;
  #partial: Buffer = EMPTY;

  constructor(visit: FrameVisitor) {
    this.#visit = visit;
  }

  /** Visits every frame that is whole. The chunk may be overwritten afterwards. */
  push(chunk: Buffer): void {
    const buffer = this.#partial.length === 0 ? chunk : Buffer.concat([this.#partial, chunk]);
    let at = 0;
    for (;;) {
      let length = 0;
      let shift = 0;
      let start = at + 1;
      let byte = 0x80;
      while (byte >= 0x80 && start < buffer.length) {
        byte = buffer[start++] as number;
        length |= (byte & 0x7f) << shift;
        shift += 7;
      }
      if (byte >= 0x80 || start + length > buffer.length) break;
      this.#visit(buffer[at] as number, buffer, start, start + length);
      at = start + length;
    }
    if (buffer.length - at > MAX_PARTIAL) throw new Error(`a frame is longer than ${MAX_PARTIAL} bytes`);
    this.#partial = at === buffer.length ? EMPTY : Buffer.from(buffer.subarray(at));
  }
}
