// One connection of a link once it is welcome: frames in their order, heartbeat, what is written and how much may wait.

import type { Socket } from "node:net";
import { type Answer, type EngineFrame, EngineOpcode, MAX_ANSWERS, writeEngineFrame } from "./engine-frames.ts";
import { FrameWriter } from "./frame-fields.ts";
import type { FrameReader } from "./frame-reader.ts";
import { LinkProtocolError } from "./link-error.ts";
import { type NodeFrame, NodeOpcode, readNodeFrame } from "./node-frames.ts";

/** What is read from one connection before others have their turn. */
const TURN_FRAMES = 64;
const TURN_BYTES = 1024 * 1024;
/** Bytes collected, at which the end of the turn is not waited for. */
const FLUSH_AT = 64 * 1024;
/** Heartbeats without a sign of the other end, or without a byte of ours taken, at which the connection is closed. */
const PATIENCE = 3;

export interface ConnectionLimits {
  /** In bytes, in both directions. */
  readonly longestFrame: number;
  /** PUBLISH frames without an answer, and their bytes. */
  readonly windowPublishes: number;
  readonly windowBytes: number;
  /** In ms. */
  readonly heartbeat: number;
  /** Bytes not written yet, at which nothing is delivered any more until half of it is written. */
  readonly backlog: number;
}

export interface ConnectionListener {
  /** Throws `LinkProtocolError` for a frame that must not come now. */
  frame(connection: LinkConnection, frame: NodeFrame): void;
  /** There is room for deliveries again. */
  hasRoomAgain(connection: LinkConnection): void;
  /** Over for good; absent cause: the other end closed it. */
  closed(connection: LinkConnection, cause: Error | undefined): void;
}

export class LinkConnection {
  readonly index: number;
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #limits: ConnectionLimits;
  readonly #listener: ConnectionListener;
  readonly #writer = new FrameWriter();
  readonly #timer: NodeJS.Timeout;
  #answers: Answer[] = [];
  #isFlushScheduled = false;
  #isReadScheduled = false;
  #isClosed = false;
  /** Its last word is said: what still comes is thrown away. */
  #isEnding = false;
  #isFull = false;
  /** Given to the socket and not taken by the system yet. */
  #unwritten = 0;
  #receivedAt = performance.now();
  #writtenAt = performance.now();
  #tickedAt = performance.now();
  /** PUBLISH frames that are not answered yet: their lengths, by request. */
  readonly #publishes = new Map<number, number>();
  #publishBytes = 0;

  /** `reader` has what came behind the last frame of the start. */
  constructor(
    index: number,
    socket: Socket,
    reader: FrameReader,
    limits: ConnectionLimits,
    listener: ConnectionListener,
  ) {
    this.index = index;
    this.#socket = socket;
    this.#reader = reader;
    this.#limits = limits;
    this.#listener = listener;
    reader.limit = limits.longestFrame;
    socket.on("data", (chunk: Buffer) => {
      this.#receivedAt = performance.now();
      if (this.#isEnding) return;
      reader.push(chunk);
      if (!this.#isReadScheduled) this.#read();
    });
    socket.on("error", (error) => this.close(error));
    socket.on("end", () => this.close());
    socket.on("close", () => this.close());
    this.#timer = setInterval(() => this.#tick(), limits.heartbeat).unref();
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether more may be delivered over it now. */
  get hasRoom(): boolean {
    return !this.#isFull;
  }

  /** What waits for the socket, in bytes. */
  get backlog(): number {
    return this.#writer.length + this.#unwritten;
  }

  /** PUBLISH frames that are not answered yet. */
  get unanswered(): number {
    return this.#publishes.size;
  }

  /** Looks at what came before. */
  start(): void {
    this.#read();
  }

  /** Leaves with what else this turn of the event loop produces. */
  send(frame: EngineFrame): void {
    if (this.#isClosed || this.#isEnding) return;
    writeEngineFrame(this.#writer, frame);
    this.#written();
  }

  /** Answers a PUBLISH, together with all others that are answered in this turn. */
  answer(answer: Answer): void {
    if (this.#isClosed || this.#isEnding) return;
    this.#publishBytes -= this.#publishes.get(answer.request) ?? 0;
    this.#publishes.delete(answer.request);
    this.#answers.push(answer);
    if (this.#answers.length >= MAX_ANSWERS) this.#writeAnswers();
    this.#written();
  }

  /** Says why, writes what is left, and closes. */
  goodbye(why: string): void {
    if (this.#isClosed || this.#isEnding) return;
    this.send({ opcode: EngineOpcode.Goodbye, why });
    this.#flush();
    this.#isEnding = true;
    this.#socket.end();
  }

  /** Closes it at once. */
  close(cause?: Error): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#socket.destroy();
    this.#listener.closed(this, cause);
  }

  #read(): void {
    this.#isReadScheduled = false;
    let bytes = 0;
    try {
      for (let frames = 0; frames < TURN_FRAMES && bytes < TURN_BYTES; frames++) {
        const frame = this.#isClosed || this.#isEnding ? undefined : this.#reader.next();
        if (frame === undefined) {
          this.#socket.resume();
          return;
        }
        bytes += frame.length;
        this.#handle(frame);
      }
    } catch (error) {
      this.close(error as Error);
      return;
    }
    this.#socket.pause();
    this.#isReadScheduled = true;
    setImmediate(() => this.#read());
  }

  #handle(bytes: Buffer): void {
    const frame = readNodeFrame(bytes);
    if (frame.opcode === NodeOpcode.Ping) this.send({ opcode: EngineOpcode.Pong });
    if (frame.opcode === NodeOpcode.Publish) this.#count(frame.request, bytes.length);
    this.#listener.frame(this, frame);
  }

  #count(request: number, bytes: number): void {
    const { windowPublishes, windowBytes } = this.#limits;
    if (this.#publishes.has(request)) throw new LinkProtocolError(`request ${request} is under way already`);
    if (this.#publishes.size >= windowPublishes || this.#publishBytes >= windowBytes) {
      throw new LinkProtocolError("more publishes are without an answer than the window allows");
    }
    this.#publishes.set(request, bytes);
    this.#publishBytes += bytes;
  }

  #written(): void {
    if (this.backlog >= this.#limits.backlog) this.#isFull = true;
    if (this.#writer.length >= FLUSH_AT) this.#flush();
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#isFlushScheduled = false;
    if (this.#isClosed) return;
    this.#writeAnswers();
    const bytes = this.#writer.take();
    if (bytes.length === 0) return;
    if (this.#unwritten === 0) this.#writtenAt = performance.now();
    this.#unwritten += bytes.length;
    this.#socket.write(bytes, (error) => {
      this.#unwritten -= bytes.length;
      this.#writtenAt = performance.now();
      if (error) return;
      if (!this.#isFull || this.backlog > this.#limits.backlog / 2) return;
      this.#isFull = false;
      if (!this.#isClosed) this.#listener.hasRoomAgain(this);
    });
  }

  #writeAnswers(): void {
    if (this.#answers.length === 0) return;
    writeEngineFrame(this.#writer, { opcode: EngineOpcode.Answers, answers: this.#answers });
    this.#answers = [];
  }

  #tick(): void {
    const now = performance.now();
    const { heartbeat } = this.#limits;
    const patience = PATIENCE * heartbeat;
    // This process itself stood still: what came meanwhile was not read yet.
    const isLate = now - this.#tickedAt > 2 * heartbeat;
    this.#tickedAt = now;
    if (isLate) return;
    if (now - this.#receivedAt > patience) this.close(new SilentError(`nothing came for ${patience} ms`));
    else if (this.#unwritten > 0 && now - this.#writtenAt > patience) {
      this.close(new SilentError(`it took nothing for ${patience} ms`));
    }
  }
}

/** The other end hangs, or the network is gone. */
export class SilentError extends Error {}
