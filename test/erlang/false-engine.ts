// An engine that does not keep to the protocol: it starts a connection as it should, and then writes what a test wants.

import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { FrameWriter } from "../../src/emqx/frame-fields.ts";
import { FrameReader } from "../../src/emqx/frame-reader.ts";
import { engineProof, frameOf, type Terms, writeChallenge, writeWelcome } from "../../src/emqx/handshake.ts";
import { SECRET } from "../emqx/link-peer.ts";
import type { Scope } from "../support/temporary-directory.ts";

const TERMS: Terms = {
  longestFrame: 1024 * 1024,
  windowPublishes: 4096,
  windowBytes: 1024 * 1024,
  heartbeat: 5000,
  engineVersion: "0.1.0",
};

export interface FalseEngineOptions {
  readonly port?: number;
  readonly secret?: Uint8Array;
  readonly version?: number;
  readonly terms?: Partial<Terms>;
  /** Instead of everything: what is done with a new connection. */
  readonly opened?: (socket: Socket) => void;
  /** After HELLO, instead of CHALLENGE. */
  readonly greeted?: (socket: Socket) => void;
  /** After WELCOME. */
  readonly welcomed?: (socket: Socket) => void;
}

export interface FalseEngine {
  readonly port: number;
  /** Connections that came. */
  readonly opened: () => number;
  stop(): Promise<void>;
}

export async function startFalseEngine(scope: Scope, options: FalseEngineOptions): Promise<FalseEngine> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer((socket) => {
    count += 1;
    sockets.add(socket);
    socket.on("error", () => {}).once("close", () => sockets.delete(socket));
    if (options.opened === undefined) start(socket, options);
    else options.opened(socket);
  });
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  scope.after(stop);
  return { port: (server.address() as AddressInfo).port, opened: () => count, stop };
}

function start(socket: Socket, { secret = SECRET, version = 1, terms, greeted, welcomed }: FalseEngineOptions): void {
  const reader = new FrameReader(16 * 1024 * 1024);
  const challenge = frameOf((writer: FrameWriter) =>
    writeChallenge(writer, { version, instance: Buffer.alloc(16, 1), nonce: Buffer.alloc(32, 2) }),
  );
  const frames: Buffer[] = [];
  socket.on("data", (bytes) => {
    reader.push(bytes);
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      frames.push(Buffer.from(frame));
      const [hello, proof] = frames;
      if (frames.length === 1 && greeted !== undefined) greeted(socket);
      else if (frames.length === 1) socket.write(challenge.sent);
      else if (frames.length === 2 && hello !== undefined && proof !== undefined) {
        const ours = engineProof(secret, hello, challenge.frame, proof);
        socket.write(frameOf((writer: FrameWriter) => writeWelcome(writer, ours, { ...TERMS, ...terms })).sent);
        welcomed?.(socket);
      }
    }
  });
}
