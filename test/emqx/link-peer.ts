// The node's end of a link's connections, for tests: a true start, and frames at will.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type EngineFrame, EngineOpcode, readEngineFrame } from "../../src/emqx/engine-frames.ts";
import { FrameWriter } from "../../src/emqx/frame-fields.ts";
import { FrameReader } from "../../src/emqx/frame-reader.ts";
import {
  engineProof,
  frameOf,
  type Hello,
  newInstance,
  newNonce,
  nodeProof,
  readChallenge,
  readWelcome,
  type Terms,
  writeHello,
  writeProof,
} from "../../src/emqx/handshake.ts";
import { type NodeFrame, writeNodeFrame } from "../../src/emqx/node-frames.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { within } from "../support/wait-for.ts";

export const SECRET = Buffer.from("a secret of the tests");

export interface PeerOptions {
  readonly port: number;
  readonly secret?: Uint8Array;
  readonly hello?: Partial<Hello>;
  /** PEM of the authority: over TLS. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** A socket to the engine, before anything is said. */
export async function openSocket(scope: Scope, { port, ca, cert, key }: PeerOptions): Promise<Socket> {
  const socket =
    ca === undefined
      ? connect({ port, host: "127.0.0.1", noDelay: true })
      : connectTls({ port, host: "127.0.0.1", ca, cert, key });
  socket.on("error", () => {});
  scope.after(() => {
    socket.destroy();
  });
  await within(once(socket, ca === undefined ? "connect" : "secureConnect"), { what: "a connection to the engine" });
  return socket;
}

/** One connection that is welcome. */
export class PeerConnection {
  readonly socket: Socket;
  readonly terms: Terms;
  readonly frames: EngineFrame[] = [];
  /** Gets each frame instead of `frames`. */
  onFrame: (frame: EngineFrame) => void = (frame) => this.frames.push(frame);
  /** Settles when the other end has closed it. */
  readonly closed: Promise<void>;
  isClosed = false;
  readonly #reader: FrameReader;
  readonly #writer = new FrameWriter();
  #isScheduled = false;

  private constructor(socket: Socket, reader: FrameReader, terms: Terms) {
    this.socket = socket;
    this.#reader = reader;
    this.terms = terms;
    reader.limit = terms.longestFrame;
    socket.on("data", (chunk: Buffer) => {
      reader.push(chunk);
      this.read();
    });
    socket.on("end", () => socket.end());
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.isClosed = true;
        resolve();
      });
    });
    queueMicrotask(() => this.read());
    socket.resume();
  }

  /** Rejects with what REFUSE says, or when the other end closes. */
  static async open(scope: Scope, options: PeerOptions): Promise<PeerConnection> {
    const { secret = SECRET, hello: given = {} } = options;
    const socket = await openSocket(scope, options);
    const reader = new FrameReader(4096);
    const hello = frameOf((writer) =>
      writeHello(writer, {
        lowestVersion: 1,
        highestVersion: 1,
        index: 0,
        connections: 1,
        instance: newInstance(),
        nonce: newNonce(),
        nodeName: "emqx@127.0.0.1",
        emqxVersion: "6.0.1",
        pluginVersion: "0.1.0",
        ...given,
      }),
    );
    socket.write(hello.sent);
    const challenge = Buffer.from(await nextFrame(socket, reader));
    readChallenge(challenge);
    const proof = frameOf((writer) => writeProof(writer, nodeProof(secret, hello.frame, challenge)));
    socket.write(proof.sent);
    const welcome = readWelcome(await nextFrame(socket, reader));
    if (!welcome.proof.equals(engineProof(secret, hello.frame, challenge, proof.frame))) {
      throw new Error("the engine has no proof of the secret");
    }
    return new PeerConnection(socket, reader, welcome);
  }

  read(): void {
    for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
      this.onFrame(readEngineFrame(frame));
    }
  }

  /** What one turn sends goes out together. */
  send(frame: NodeFrame): void {
    writeNodeFrame(this.#writer, frame);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.socket.destroyed) this.socket.write(this.#writer.take());
    });
  }

  /** Takes out the frames of this kind that have come. */
  take<Opcode extends EngineFrame["opcode"]>(opcode: Opcode): Extract<EngineFrame, { opcode: Opcode }>[] {
    const taken = this.frames.filter((frame) => frame.opcode === opcode);
    this.frames.splice(0, this.frames.length, ...this.frames.filter((frame) => frame.opcode !== opcode));
    return taken as Extract<EngineFrame, { opcode: Opcode }>[];
  }

  get saidGoodbye(): boolean {
    return this.frames.some(({ opcode }) => opcode === EngineOpcode.Goodbye);
  }
}

/** All connections of one link. */
export async function openLink(
  scope: Scope,
  options: PeerOptions,
  connections: number,
): Promise<[PeerConnection, ...PeerConnection[]]> {
  const instance = newInstance();
  const opened = await Promise.all(
    Array.from({ length: connections }, (_, index) =>
      PeerConnection.open(scope, { ...options, hello: { ...options.hello, instance, index, connections } }),
    ),
  );
  return opened as [PeerConnection, ...PeerConnection[]];
}

async function nextFrame(socket: Socket, reader: FrameReader): Promise<Buffer> {
  const closed = once(socket, "close").then(() => {
    throw new Error("the engine has closed the connection");
  });
  closed.catch(() => {});
  for (let frame = reader.next(); ; frame = reader.next()) {
    if (frame !== undefined) return frame;
    socket.resume();
    const [chunk] = (await within(Promise.race([once(socket, "data"), closed]), { what: "a frame" })) as [Buffer];
    // What comes before whoever is next listens is kept by the pause.
    socket.pause();
    reader.push(chunk);
  }
}
