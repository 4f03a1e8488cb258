// MQTT over WebSocket, by hand from the handshake on (MQTT 3.1.1 and 5.0, chapter 6).

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { BrokerOptions } from "../../../src/broker/options.ts";
import { waitFor, within } from "../../support/wait-for.ts";
import { type CaseContext, type ConformanceCase, hexConnect } from "../conformance-case.ts";

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PINGREQ = Buffer.from("c000", "hex");

const options: Partial<BrokerOptions> = {
  ws: {
    host: "127.0.0.1",
    port: 0,
    websocket: { mqttPath: "/mqtt", maxFrameSize: 4096, checkOriginEnable: true, checkOrigins: [] },
  },
};

/** A socket after its WebSocket handshake. */
class Frames {
  readonly socket: Socket;
  /** Of the server's answer. */
  head = "";
  isClosed = false;
  #bytes: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.isClosed = true;
    });
  }

  static async open({ fixture, t }: CaseContext): Promise<Frames> {
    const frames = new Frames(connect({ port: fixture.addresses.ws?.port as number, host: "127.0.0.1" }));
    const { socket } = frames;
    t.after(() => socket.destroy());
    await within(once(socket, "connect"), { what: "a TCP connection" });
    const lines = [
      "GET /mqtt HTTP/1.1",
      "Host: 127.0.0.1",
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Protocol: chat, mqtt",
    ];
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    await waitFor(() => frames.#bytes.includes("\r\n\r\n"), { what: "the answer to the handshake", interval: 1 });
    const end = frames.#bytes.indexOf("\r\n\r\n") + 4;
    frames.head = frames.#bytes.subarray(0, end).toString();
    frames.#bytes = frames.#bytes.subarray(end);
    return frames;
  }

  /** Sends one frame. `isLast`: none that continues it follows. An opcode of 0 continues. */
  send(opcode: number, payload: Uint8Array, isLast = true): void {
    const mask = Buffer.from([1, 2, 3, 4]);
    const masked = Buffer.from(payload).map((byte, at) => byte ^ (mask[at % 4] as number));
    const length = Buffer.from([0x80 | payload.length]);
    this.socket.write(Buffer.concat([Buffer.from([(isLast ? 0x80 : 0) | opcode]), length, mask, masked]));
  }

  /** The bytes of that many MQTT bytes in frames, each of which must be binary. */
  async binary(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let got = 0;
    while (got < length) {
      await waitFor(() => this.#frameLength() !== undefined || this.isClosed, { what: "a frame", interval: 1 });
      const frameLength = this.#frameLength();
      if (frameLength === undefined) throw new Error("the connection ended instead of a frame");
      assert.equal(this.#opcode, BINARY);
      parts.push(this.#bytes.subarray(2, frameLength));
      got += frameLength - 2;
      this.#bytes = this.#bytes.subarray(frameLength);
    }
    return Buffer.concat(parts);
  }

  /** Awaits that the server closes: its closing frame, which is answered, and the end of the connection. */
  async closed(): Promise<void> {
    await waitFor(() => this.#frameLength() !== undefined, { what: "a closing frame", interval: 1 });
    assert.equal(this.#opcode, CLOSE);
    this.send(CLOSE, this.#bytes.subarray(2));
    await waitFor(() => this.isClosed, { what: "the end of the connection", interval: 1 });
  }

  get #opcode(): number {
    return (this.#bytes[0] as number) & 0x0f;
  }

  /** Of the first frame, when it is there as a whole; none that the cases bring about has 126 bytes. */
  #frameLength(): number | undefined {
    const length = 2 + ((this.#bytes[1] ?? 0) & 0x7f);
    return this.#bytes.length >= 2 && this.#bytes.length >= length ? length : undefined;
  }
}

async function connack(frames: Frames): Promise<void> {
  const start = await frames.binary(4);
  assert.equal(start[0], 0x20);
  assert.equal(start[3], 0);
}

export const cases: readonly ConformanceCase[] = [
  {
    title: "the subprotocol that the server selects is mqtt",
    v4: ["6.0.0-4"],
    v5: ["6.0.0-4"],
    options,
    run: async (context) => {
      const { head, socket } = await Frames.open(context);
      assert.match(head, /^HTTP\/1\.1 101 /);
      assert.match(head, /\r\nSec-WebSocket-Protocol: mqtt\r\n/i);
      socket.destroy();
    },
  },
  {
    title: "packets that are split over frames or join in one are read alike, and answered in binary frames",
    v4: ["6.0.0-1", "6.0.0-2"],
    v5: ["6.0.0-1", "6.0.0-2"],
    options,
    run: async (context) => {
      const bytes = Buffer.from(hexConnect(context.version, {}), "hex");
      const split = await Frames.open(context);
      for (let at = 0; at < bytes.length; at++) split.send(BINARY, bytes.subarray(at, at + 1));
      await connack(split);
      split.send(BINARY, PINGREQ.subarray(0, 1), false);
      split.send(0, Buffer.concat([PINGREQ.subarray(1), PINGREQ]));
      assert.equal((await split.binary(4)).toString("hex"), "d000d000");
      const joined = await Frames.open(context);
      joined.send(BINARY, Buffer.concat([bytes, PINGREQ, PINGREQ.subarray(0, 1)]));
      await connack(joined);
      joined.send(BINARY, PINGREQ.subarray(1));
      const answers = await joined.binary(2);
      assert.equal(answers.subarray(0, 2).toString("hex"), "d000");
      for (const { socket } of [split, joined]) socket.destroy();
    },
  },
  {
    title: "a text frame ends the connection",
    v4: ["6.0.0-1"],
    v5: ["6.0.0-1"],
    options,
    run: async (context) => {
      const frames = await Frames.open(context);
      frames.send(BINARY, Buffer.from(hexConnect(context.version, {}), "hex"));
      await connack(frames);
      frames.send(TEXT, PINGREQ.subarray(1));
      await frames.closed();
    },
  },
];
