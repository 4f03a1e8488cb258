// A client's connection: a socket, CONNECT and CONNACK, and the frames that come after.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { FrameScanner, type FrameVisitor } from "./frame-scanner.ts";
import { CONNACK, DISCONNECT_PACKET } from "./packets.ts";

/** How much is read at once, in bytes. */
const READ_BYTES = 64 * 1024;
/** How long a broker may take to answer CONNECT, in ms. */
const CONNECT_TIMEOUT = 10_000;

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ConnectionOptions {
  readonly address: Address;
  /** For the texts of errors. */
  readonly clientId: string;
  readonly connectPacket: Uint8Array;
  /** How much is read at once, in bytes; 64 KiB when absent. */
  readonly readBytes?: number;
  /** Called for each frame after CONNACK. */
  readonly frame: FrameVisitor;
  /** Called when the frames of one read were visited. */
  readonly readDone: () => void;
  /** Called when the connection ends before `close`, and when one of the callbacks throws. */
  readonly failed: (error: Error) => void;
}

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #opened = Promise.withResolvers<void>();
  #state: "opening" | "open" | "closed" = "opening";

  constructor(options: ConnectionOptions) {
    const { address, clientId, connectPacket, readBytes = READ_BYTES, frame, readDone } = options;
    this.#options = options;
    let frames = 0;
    const scanner = new FrameScanner((firstByte, buffer, start, end) => {
      if (this.#state === "opening") {
        this.#connack(firstByte, buffer[start + 1] as number);
        return;
      }
      frames += 1;
      frame(firstByte, buffer, start, end);
    });
    // One buffer for all reads: nothing of it is kept.
    const buffer = Buffer.allocUnsafe(readBytes);
    const callback = (bytes: number): boolean => {
      try {
        scanner.push(buffer.subarray(0, bytes));
        if (frames > 0) readDone();
        frames = 0;
      } catch (error) {
        this.#fail(error as Error);
      }
      return true;
    };
    this.#socket = connect({ ...address, noDelay: true, onread: { buffer, callback } });
    this.#socket.once("connect", () => this.write(connectPacket));
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.on("close", () => this.#fail(new Error(`${clientId}: the broker closed the connection`)));
  }

  /** Resolves with CONNACK. Rejects when the broker refuses or does not answer. Frames may come before it resolves. */
  async open(): Promise<void> {
    const error = new Error(`${this.#options.clientId}: no CONNACK within ${CONNECT_TIMEOUT} ms`);
    const timer = setTimeout(() => this.#fail(error), CONNECT_TIMEOUT);
    await this.#opened.promise.finally(() => clearTimeout(timer));
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Sends DISCONNECT and closes. */
  async close(): Promise<void> {
    this.#state = "closed";
    if (this.#socket.destroyed) return;
    this.#socket.end(DISCONNECT_PACKET);
    await once(this.#socket, "close");
  }

  #connack(firstByte: number, returnCode: number): void {
    if (firstByte !== CONNACK || returnCode !== 0) {
      throw new Error(`${this.#options.clientId}: the broker refused CONNECT with ${returnCode}`);
    }
    this.#state = "open";
    this.#opened.resolve();
  }

  #fail(error: Error): void {
    const state = this.#state;
    this.#state = "closed";
    this.#socket.destroy();
    if (state === "opening") this.#opened.reject(error);
    if (state === "open") this.#options.failed(error);
  }
}
