// Accepts connections on one address and hands them on.

import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { ListenError } from "./errors.ts";
import type { ListenerOptions } from "./options.ts";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

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
  listen({ host, port }: ListenerOptions): Promise<ListenAddress> {
    const { promise, resolve, reject } = Promise.withResolvers<ListenAddress>();
    const failed = (cause: NodeJS.ErrnoException): void => {
      const hint = cause.code === "EADDRINUSE" ? "stop what listens there, or choose another port" : "choose another";
      const message = `Cannot listen on ${host}:${port} for ${this.name} (${cause.code}): ${hint}.`;
      reject(new ListenError(message, { listener: this.name, host, port, cause }));
    };
    this.#server.once("error", failed);
    this.#server.listen({ host, port }, () => {
      this.#server.off("error", failed);
      const address = this.#server.address();
      if (address === null || typeof address === "string") throw new Error("a TCP server has an address and a port");
      resolve({ host: address.address, port: address.port });
    });
    return promise;
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
