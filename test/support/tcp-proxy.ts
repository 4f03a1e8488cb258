// A TCP proxy between a client and a server, for faults of the network: connections that are cut in the middle of what the
// server sends, and connections on which nothing comes any more.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Scope } from "./temporary-directory.ts";

interface Cut {
  /** Bytes of the server that still pass. */
  bytes: number;
  readonly done: () => void;
}

export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isSilent = false;
  #cut: Cut | undefined;
  /** Connections that were accepted. */
  connections = 0;
  /** Bytes of clients that were passed on. */
  requestBytes = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens on a free loopback port, and leads to this one. */
  static async start(scope: Scope, target: { readonly host: string; readonly port: number }): Promise<TcpProxy> {
    const server = createServer();
    const proxy = new TcpProxy(server);
    server.on("connection", (client) => proxy.#accept(client, connect(target)));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    scope.after(() => proxy.stop());
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Lets so many bytes of the server pass, then cuts every connection; settles when that has happened. */
  cutAfter(bytes: number): Promise<void> {
    return new Promise((resolve) => {
      this.#cut = { bytes, done: resolve };
    });
  }

  /** Nothing passes any more, in either direction, and no connection is closed: as when a cable is pulled. */
  silence(): void {
    this.#isSilent = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** What was held back passes. */
  resume(): void {
    this.#isSilent = false;
    for (const socket of this.#sockets) socket.resume();
  }

  /** Cuts every connection; new ones are accepted. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.cut();
    if (this.#server.listening) await once(this.#server, "close");
  }

  #accept(client: Socket, server: Socket): void {
    this.connections++;
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay();
      from.on("data", (chunk) => {
        if (from === server) this.#reply(to, chunk);
        else to.write(chunk, () => (this.requestBytes += chunk.length));
      });
      // Either end may reset; the other one learns it.
      from.on("error", () => {});
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      if (this.#isSilent) from.pause();
    }
  }

  #reply(client: Socket, chunk: Buffer): void {
    const cut = this.#cut;
    if (cut === undefined || chunk.length <= cut.bytes) {
      client.write(chunk);
      if (cut !== undefined) cut.bytes -= chunk.length;
      return;
    }
    this.#cut = undefined;
    // The part that passes is on its way before the connections go.
    client.write(chunk.subarray(0, cut.bytes), () => {
      this.cut();
      cut.done();
    });
  }
}
