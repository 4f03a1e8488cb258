// Takes a stream of bytes apart into lines of a bounded length.

export interface Line {
  /** Counted from 1. */
  readonly number: number;
  /** Without its end; absent: the line is longer than it may be, and passed over. */
  readonly bytes?: Buffer;
}

const LINE_FEED = 0x0a;

/** No more than one line is held. Rejects as the stream does; then what was not a whole line is not given. */
export async function* linesOf(stream: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Line> {
  let parts: Buffer[] = [];
  let size = 0;
  let number = 1;
  const line = (): Line => (size > maxBytes ? { number } : { number, bytes: Buffer.concat(parts) });
  for await (const chunk of stream) {
    for (let start = 0; start < chunk.length; ) {
      const end = chunk.indexOf(LINE_FEED, start);
      const part = chunk.subarray(start, end < 0 ? chunk.length : end);
      size += part.length;
      if (size <= maxBytes) parts.push(part);
      else parts = [];
      if (end < 0) break;
      yield line();
      parts = [];
      size = 0;
      number++;
      start = end + 1;
    }
  }
  if (size > 0) yield line();
}
