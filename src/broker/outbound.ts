// Writes a connection's packets: what one turn of the event loop produces goes out in one write.
//
// At most one write is under way; what comes meanwhile is collected. So the bytes that wait are known exactly, and a
// client that does not read costs nobody else anything.

import type { Duplex } from "node:stream";
import type { Message } from "../mqtt/message.ts";

/** Up to this many bytes are joined into one buffer; above, the buffers are handed over as they are. */
const JOIN_LIMIT = 64 * 1024;
/**
 * So many buffers that wait behind a slow write are joined into one: small packets are views of large pieces of memory,
 * which would all be kept otherwise.
 */
const COMPACT_AT = 16;
/** Bytes collected, at which the end of the turn is not waited for. */
const FLUSH_AT = 64 * 1024;

/** Flushes all connections that have something to write, once for each turn of the event loop. */
export class FlushScheduler {
  #waiting: Outbound[] = [];
  readonly #run = (): void => {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const outbound of waiting) outbound.flush();
  };

  add(outbound: Outbound): void {
    if (this.#waiting.length === 0) setImmediate(this.#run);
    this.#waiting.push(outbound);
  }
}

export interface OutboundListener {
  /** A write is done: these messages, marked before, have left. There may be room again. */
  written(messages: readonly Message[]): void;
  /** More bytes wait than allowed. */
  overflowed(): void;
  sent(bytes: number): void;
}

export class Outbound {
  readonly #stream: Duplex;
  readonly #scheduler: FlushScheduler;
  readonly #listener: OutboundListener;
  readonly #maxBacklog: number;
  #buffers: Uint8Array[] = [];
  /** How many of these, from the first, are joined or large. */
  #compacted = 0;
  #bytes = 0;
  #marks: Message[] = [];
  #isScheduled = false;
  #writingBytes = 0;
  #writingMarks: Message[] = [];
  #isEnding = false;
  #isOver = false;
  readonly #onWritten = (error?: Error | null): void => {
    const marks = this.#writingMarks;
    this.#writingMarks = [];
    this.#writingBytes = 0;
    if (error || this.#stream.destroyed) {
      this.#discard();
      return;
    }
    this.#listener.written(marks);
    if (this.#bytes > 0) this.#schedule();
    else if (this.#isEnding) this.#stream.end();
  };

  constructor(stream: Duplex, scheduler: FlushScheduler, listener: OutboundListener, maxBacklog: number) {
    this.#stream = stream;
    this.#scheduler = scheduler;
    this.#listener = listener;
    this.#maxBacklog = maxBacklog;
  }

  /** Bytes that wait for the socket. */
  get backlog(): number {
    return this.#bytes + this.#writingBytes;
  }

  /** `more` goes right behind `bytes`. */
  push(bytes: Uint8Array, more?: Uint8Array): void {
    if (this.#isEnding || this.#isOver) return;
    this.#buffers.push(bytes);
    this.#bytes += bytes.length;
    if (more !== undefined) {
      this.#buffers.push(more);
      this.#bytes += more.length;
    }
    if (this.#writingBytes > 0) {
      if (this.#buffers.length - this.#compacted >= COMPACT_AT) this.#compact();
      if (this.backlog > this.#maxBacklog) this.#overflow();
    } else if (this.#bytes >= FLUSH_AT) {
      this.flush();
    } else {
      this.#schedule();
    }
  }

  /** `listener.written` gets the message when what is pushed next is written. */
  mark(message: Message): void {
    this.#marks.push(message);
  }

  /** Throws away what the socket has not got yet, so that a last word does not wait behind it. */
  cutShort(): void {
    this.#discardWaiting();
    this.#isOver = false;
  }

  /** Writes what is left and ends the stream. */
  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    if (this.#stream.destroyed) this.#discard();
    if (this.#writingBytes > 0) return;
    if (this.#bytes > 0) this.flush();
    else this.#stream.end();
  }

  flush(): void {
    this.#isScheduled = false;
    if (this.#bytes === 0 || this.#writingBytes > 0) return;
    const buffers = this.#buffers;
    const bytes = this.#bytes;
    this.#buffers = [];
    this.#compacted = 0;
    this.#bytes = 0;
    this.#writingBytes = bytes;
    this.#writingMarks = this.#marks;
    this.#marks = [];
    if (this.#stream.destroyed || !this.#stream.writable) {
      this.#discard();
      return;
    }
    this.#listener.sent(bytes);
    if (buffers.length === 1 || bytes <= JOIN_LIMIT) {
      const whole = buffers.length === 1 ? (buffers[0] as Uint8Array) : Buffer.concat(buffers, bytes);
      this.#stream.write(whole, this.#onWritten);
      return;
    }
    const last = buffers.pop() as Uint8Array;
    this.#stream.cork();
    for (const buffer of buffers) this.#stream.write(buffer);
    this.#stream.write(last, this.#onWritten);
    this.#stream.uncork();
  }

  #compact(): void {
    const buffers = this.#buffers.splice(this.#compacted);
    const bytes = buffers.reduce((sum, { length }) => sum + length, 0);
    if (bytes > JOIN_LIMIT) {
      this.#buffers.push(...buffers);
    } else {
      const joined = Buffer.allocUnsafeSlow(bytes);
      let at = 0;
      for (const buffer of buffers) {
        joined.set(buffer, at);
        at += buffer.length;
      }
      this.#buffers.push(joined);
    }
    this.#compacted = this.#buffers.length;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#scheduler.add(this);
  }

  #overflow(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // Not within the caller's turn: it may be in the middle of routing a message.
    setImmediate(() => this.#listener.overflowed());
  }

  #discard(): void {
    this.#isOver = true;
    this.#writingBytes = 0;
    this.#discardWaiting();
  }

  #discardWaiting(): void {
    this.#buffers = [];
    this.#compacted = 0;
    this.#bytes = 0;
    this.#marks = [];
  }
}
