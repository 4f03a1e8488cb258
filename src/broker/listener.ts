// Accepts TCP connections and hands their sockets on.

import { createServer, type Server, type Socket } from "node:net";
import { ListenError } from "./errors.ts";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export class TcpListener {
  readonly #server: Server;

  /** `failed` hears of connections that could not be accepted, such as for want of file descriptors. */
  constructor(accept: (socket: Socket) => void, failed: (error: Error) => void) {
    this.#server = createServer({ noDelay: true }, accept);
    this.#server.on("error", (error) => {
      if (this.#server.listening) failed(error);
    });
  }

  /** Resolves with the address that was bound. Rejects with `ListenError`. */
  listen({ host, port }: ListenAddress): Promise<ListenAddress> {
    const { promise, resolve, reject } = Promise.withResolvers<ListenAddress>();
    const failed = (error: NodeJS.ErrnoException): void => {
      const hint = error.code === "EADDRINUSE" ? "stop what listens there, or choose another port" : "choose another";
      reject(new ListenError(`Cannot listen on ${host}:${port} (${error.code}): ${hint}.`, { cause: error }));
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
