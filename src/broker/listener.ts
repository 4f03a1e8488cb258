// Accepts connections on one address and hands them on.

import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type ListenAddress, listenFailure, listenOn } from "../mqtt/listen.ts";
import { ListenError } from "./errors.ts";
import type { ListenerOptions } from "./options.ts";

/** Gets a client's stream of bytes, which carries MQTT from the first one on. */
export type Accept = (stream: Duplex) => void;

export class Listener {
  /** As the configuration names it. */
  readonly name: string;
  readonly #server: Server;

  /** `failed` hears of connections that could not be accepted, such as for want of file descriptors. */
  constructor(name: string, server: Server, failed: (error: Error) => void) {
    this.name = name;
    this.#server = server;
    server.on("error", (error) => {
      if (server.listening) failed(error);
    });
  }

  /** Resolves with the address that was bound. Rejects with `ListenError`. */
  async listen({ host, port }: ListenerOptions): Promise<ListenAddress> {
    try {
      return await listenOn(this.#server, { host, port });
    } catch (cause) {
      const message = listenFailure({ host, port }, this.name, cause);
      throw new ListenError(message, { listener: this.name, host, port, cause });
    }
  }

  /** Accepts nothing more; connections that are open stay so. */
  close(): void {
    this.#server.close();
  }
}

/** MQTT over TCP. */
export function tcpServer(accept: (socket: Socket) => void): Server {
  return createServer({ noDelay: true }, accept);
}

/** The sockets of a server that are open, those in the middle of a handshake too. */
export function openSockets(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  return sockets;
}
