// A server that accepts connections and says nothing, as the system does for a process that hangs, or that falls silent
// after its first words.

import { once } from "node:events";
import { type AddressInfo, createServer as createPlain, type Server, type Socket } from "node:net";
import { createServer as createTls, type TlsOptions } from "node:tls";
import type { Scope } from "./temporary-directory.ts";

export interface SilentOptions {
  /** Speaks TLS, and says nothing after the handshake; absent: not even a handshake. */
  readonly tls?: TlsOptions;
  /** What it answers to the first chunks on each connection, one after the other; absent: nothing. */
  readonly words?: readonly string[];
}

export class SilentServer {
  readonly #server: Server;
  /** How long each connection stayed that the client has closed, in ms, from its first bytes on. */
  readonly stays: number[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens on a free loopback port. */
  static async start(scope: Scope, { tls, words = [] }: SilentOptions = {}): Promise<SilentServer> {
    const server = tls === undefined ? createPlain() : createTls(tls);
    const silent = new SilentServer(server);
    const sockets = new Set<Socket>();
    server.on(tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
      sockets.add(socket);
      socket.once("data", () => {
        const begin = performance.now();
        socket.on("close", () => silent.stays.push(performance.now() - begin));
      });
      let chunks = 0;
      socket.on("data", () => socket.write(words[chunks++] ?? ""));
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    scope.after(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    return silent;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }
}
