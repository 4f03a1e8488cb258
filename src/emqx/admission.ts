// One socket until it is welcome: HELLO, CHALLENGE, PROOF, and WELCOME or REFUSE, within a time and few bytes.

import type { Socket } from "node:net";
import { FrameReader } from "./frame-reader.ts";
import {
  type Challenge,
  checkProof,
  commonVersion,
  engineProof,
  frameOf,
  type Hello,
  MAX_HANDSHAKE_FRAME,
  newNonce,
  readHello,
  type Terms,
  writeChallenge,
  writeRefuse,
  writeWelcome,
} from "./handshake.ts";
import { LinkProtocolError, LinkRefusedError } from "./link-error.ts";

export interface AdmissionParts {
  readonly secret: () => Uint8Array;
  /** Of this engine. */
  readonly instance: Uint8Array;
  readonly terms: Terms;
  /** In ms. */
  readonly timeout: number;
  /** Whether the node may come in, now that it has proved itself. Throws `LinkRefusedError`. */
  readonly check: (hello: Hello) => void;
  /** It is welcome. What came behind its proof is in the reader. */
  readonly welcome: (hello: Hello, socket: Socket, reader: FrameReader) => void;
  /** The socket is closed. `hello`: as far as it came. */
  readonly refused: (error: Error, hello: Hello | undefined) => void;
}

export class Admission {
  readonly #parts: AdmissionParts;
  readonly #socket: Socket;
  readonly #reader = new FrameReader(MAX_HANDSHAKE_FRAME);
  readonly #timer: NodeJS.Timeout;
  #hello: { readonly told: Hello; readonly frame: Buffer; readonly challenge: Buffer } | undefined;
  #isOver = false;
  readonly #onData = (chunk: Buffer): void => this.#read(chunk);
  readonly #onEnd = (): void => this.refuse(new LinkProtocolError("it ends before it is welcome"));

  constructor(socket: Socket, parts: AdmissionParts) {
    this.#parts = parts;
    this.#socket = socket;
    const { timeout } = parts;
    this.#timer = setTimeout(() => {
      this.refuse(new LinkProtocolError(`it is not through with its start within ${timeout} ms`));
    }, timeout).unref();
    socket.on("data", this.#onData);
    socket.on("close", this.#onEnd);
    // Told by `close`.
    socket.on("error", () => {});
  }

  /** Closes it, with a REFUSE for a peer that is not let in. */
  refuse(error: Error): void {
    if (this.#isOver) return;
    this.#end();
    if (error instanceof LinkRefusedError) {
      // What still comes is thrown away: a socket that is destroyed with unread bytes may take our last word with it.
      this.#socket.resume().on("end", () => this.#socket.destroy());
      this.#socket.end(frameOf((writer) => writeRefuse(writer, error)).sent);
      setTimeout(() => this.#socket.destroy(), this.#parts.timeout).unref();
    } else {
      this.#socket.destroy();
    }
    this.#parts.refused(error, this.#hello?.told);
  }

  #end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#socket.off("data", this.#onData);
    this.#socket.off("close", this.#onEnd);
  }

  #read(chunk: Buffer): void {
    this.#reader.push(chunk);
    try {
      for (let frame = this.#next(); frame !== undefined; frame = this.#next()) this.#handle(frame);
    } catch (error) {
      this.refuse(error as Error);
    }
  }

  #next(): Buffer | undefined {
    return this.#isOver ? undefined : this.#reader.next();
  }

  #handle(frame: Buffer): void {
    const { secret, terms } = this.#parts;
    if (this.#hello === undefined) {
      this.#answerHello(Buffer.from(frame));
      return;
    }
    const { told, frame: hello, challenge } = this.#hello;
    checkProof(secret(), hello, challenge, frame);
    this.#parts.check(told);
    const proof = engineProof(secret(), hello, challenge, frame);
    this.#end();
    this.#socket.pause();
    this.#socket.write(frameOf((writer) => writeWelcome(writer, proof, terms)).sent);
    this.#parts.welcome(told, this.#socket, this.#reader);
  }

  #answerHello(frame: Buffer): void {
    const { instance, terms } = this.#parts;
    const told = readHello(frame);
    this.#hello = { told, frame, challenge: Buffer.alloc(0) };
    const challenge: Challenge = { version: commonVersion(told, terms.engineVersion), instance, nonce: newNonce() };
    const { sent, frame: written } = frameOf((writer) => writeChallenge(writer, challenge));
    this.#hello = { told, frame, challenge: written };
    this.#socket.write(sent);
  }
}
