// Reads RESP2 replies from a stream of bytes.

/** Bulk strings are Buffers, simple strings are strings, errors are `RedisReplyError`. */
export type RedisReply = string | Buffer | number | null | RedisReplyError | readonly RedisReply[];

/** An error that Redis replied with; its first word is Redis' own code. */
export class RedisReplyError extends Error {
  get code(): string {
    return this.message.split(" ", 1)[0] ?? "";
  }
}

/** A reply and where the next one begins; absent: its end has not come yet. */
type Parsed = { readonly reply: RedisReply; readonly end: number } | undefined;

export class ReplyParser {
  readonly #onReply: (reply: RedisReply) => void;
  #bytes: Buffer = Buffer.alloc(0);
  /** How many bytes it takes before another look at a long bulk string is worth it. */
  #needed = 0;

  constructor(onReply: (reply: RedisReply) => void) {
    this.#onReply = onReply;
  }

  push(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    let at = 0;
    while (this.#bytes.length - at >= Math.max(1, this.#needed)) {
      this.#needed = 0;
      const parsed = this.#parse(at);
      if (parsed === undefined) break;
      at = parsed.end;
      this.#onReply(parsed.reply);
    }
    this.#bytes = this.#bytes.subarray(at);
  }

  #parse(start: number): Parsed {
    const lineEnd = this.#bytes.indexOf("\r\n", start);
    if (lineEnd < 0) return undefined;
    const text = this.#bytes.toString("utf8", start + 1, lineEnd);
    const end = lineEnd + 2;
    const kind = String.fromCharCode(this.#bytes[start] as number);
    switch (kind) {
      case "+":
        return { reply: text, end };
      case "-":
        return { reply: new RedisReplyError(text), end };
      case ":":
        return { reply: Number(text), end };
      case "$":
        return this.#parseBulk(Number(text), start, end);
      case "*":
        return this.#parseArray(Number(text), end);
      default:
        throw new Error(`not RESP2: ${kind}${text}`);
    }
  }

  #parseBulk(length: number, start: number, at: number): Parsed {
    if (length < 0) return { reply: null, end: at };
    const end = at + length + 2;
    if (this.#bytes.length < end) {
      this.#needed = end - start;
      return undefined;
    }
    // A copy: the chunk that it came in may be much larger.
    return { reply: Buffer.from(this.#bytes.subarray(at, at + length)), end };
  }

  #parseArray(count: number, at: number): Parsed {
    if (count < 0) return { reply: null, end: at };
    const items: RedisReply[] = [];
    let end = at;
    for (let index = 0; index < count; index++) {
      const item = this.#parse(end);
      if (item === undefined) return undefined;
      items.push(item.reply);
      end = item.end;
    }
    return { reply: items, end };
  }
}
