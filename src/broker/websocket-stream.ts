// A WebSocket as a stream of bytes: binary frames split and join MQTT packets anywhere [MQTT-6.0.0-2].
//
// Back-pressure goes through in both directions. The reading side holds back the socket as soon as one message waits here;
// the writing side is done with a write when the socket is.

import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { WebSocket } from "ws";

/** Close codes of RFC 6455, 7.4.1. */
const NORMAL_CLOSURE = 1000;
const UNSUPPORTED_DATA = 1003;

export class WebSocketStream extends Duplex {
  /** Of the socket beneath. */
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly localPort: number | undefined;
  readonly #webSocket: WebSocket;
  #isEnded = false;
  #problem: Error | null = null;

  constructor(webSocket: WebSocket, socket: Pick<Socket, "remoteAddress" | "remotePort" | "localPort">) {
    // One message that waits is enough to stop reading: a mark in bytes would let thousands of empty ones in.
    super({ readableHighWaterMark: 1, allowHalfOpen: false });
    this.#webSocket = webSocket;
    this.remoteAddress = socket.remoteAddress;
    this.remotePort = socket.remotePort;
    this.localPort = socket.localPort;
    webSocket.on("message", (data, isBinary) => this.#received(data as Buffer, isBinary));
    webSocket.on("error", (error) => this.#fail(error));
    webSocket.on("close", () => this.#endReading());
  }

  override _read(): void {
    if (this.#webSocket.isPaused) this.#webSocket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#webSocket.send(chunk, callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    const last = chunks.length - 1;
    for (const [index, { chunk }] of chunks.entries())
      this.#webSocket.send(chunk, index === last ? callback : undefined);
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.#webSocket.readyState === this.#webSocket.CLOSED) {
      callback();
      return;
    }
    // The stream is destroyed when both sides have ended: not before the client has had the chance to read to the end.
    this.#webSocket.once("close", () => callback());
    this.#webSocket.close(NORMAL_CLOSURE);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#webSocket.terminate();
    callback(error ?? this.#problem);
  }

  #received(data: Buffer, isBinary: boolean): void {
    if (this.#isEnded) return;
    if (!isBinary) {
      // [MQTT-6.0.0-1]
      this.#webSocket.close(UNSUPPORTED_DATA);
      this.#fail(new Error("A text frame came: MQTT goes in binary frames."));
      return;
    }
    if (!this.push(data)) this.#webSocket.pause();
  }

  #fail(error: Error): void {
    this.#problem ??= error;
    this.#endReading();
  }

  #endReading(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.push(null);
  }
}
