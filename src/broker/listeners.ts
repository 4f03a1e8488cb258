// All listeners of a broker: those that its options ask for, started and stopped together.

import type { Server, Socket } from "node:net";
import type { Server as TlsServer } from "node:tls";
import type { ListenAddress } from "../mqtt/listen.ts";
import type { Logger } from "../mqtt/logger.ts";
import { readCertificates } from "../tls/certificates.ts";
import { reloadCertificates } from "./certificates.ts";
import { type Accept, Listener, openSockets, tcpServer } from "./listener.ts";
import type { BrokerOptions, TlsOptions } from "./options.ts";
import { tlsServer } from "./tls-listener.ts";
import { webSocketServer } from "./websocket-listener.ts";

/** Where each kind of client connects to; absent: nowhere. */
export interface BrokerAddresses {
  readonly mqtt?: ListenAddress;
  readonly mqtts?: ListenAddress;
  readonly ws?: ListenAddress;
  readonly wss?: ListenAddress;
}

export interface ListenersParts {
  readonly options: BrokerOptions;
  readonly logger: Logger;
  readonly accept: Accept;
  /** Hears of connections that could not be accepted. */
  readonly failed: (error: Error) => void;
  /** Sockets that each listener may have open; those of plain TCP are counted by `accept`. */
  readonly maxSockets: number;
}

interface SecureServer {
  readonly name: string;
  readonly server: TlsServer;
  readonly tls: TlsOptions;
}

export class Listeners {
  readonly #parts: ListenersParts;
  readonly #listeners: Listener[] = [];
  readonly #secure: SecureServer[] = [];
  /** Of listeners that shake hands before they hand a client on. */
  readonly #sockets: ReadonlySet<Socket>[] = [];
  #reloading: Promise<void> = Promise.resolve();
  /** The reload that has not begun: it will see what a caller wants to be seen. */
  #nextReload: Promise<void> | undefined;

  constructor(parts: ListenersParts) {
    this.#parts = parts;
  }

  /** Resolves with the addresses that were bound. Rejects with `ListenError` and `CertificateError`; then nothing listens. */
  async listen(): Promise<BrokerAddresses> {
    try {
      const mqtt = await this.#listenTcp();
      const mqtts = await this.#listenTls();
      const ws = await this.#listenWebSocket();
      const wss = await this.#listenSecureWebSocket();
      return { mqtt, mqtts, ws, wss };
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Reads all certificates again, for connections to come; see `reloadCertificates`. */
  reloadCertificates(): Promise<void> {
    const { logger } = this.#parts;
    this.#nextReload ??= this.#reloading.then(async () => {
      this.#nextReload = undefined;
      if (this.#secure.length === 0) logger.info({}, "no listener of MQTT has certificates to read again");
      for (const { name, server, tls } of this.#secure) await reloadCertificates(name, server, tls, logger);
    });
    this.#reloading = this.#nextReload;
    return this.#reloading;
  }

  /** Accepts nothing more; connections that are open stay so. */
  close(): void {
    for (const listener of this.#listeners) listener.close();
  }

  /** Ends what has not been handed on: clients in the middle of a handshake. */
  destroy(): void {
    for (const sockets of this.#sockets) {
      for (const socket of sockets) socket.destroy();
    }
  }

  async #listenTcp(): Promise<ListenAddress | undefined> {
    const { options, accept, failed } = this.#parts;
    if (!options.tcp) return undefined;
    const listener = new Listener("listeners.tcp.default", tcpServer(accept), failed);
    this.#listeners.push(listener);
    return listener.listen(options);
  }

  async #listenTls(): Promise<ListenAddress | undefined> {
    const { options, accept, logger } = this.#parts;
    const { ssl, idleTimeout: handshakeTimeout } = options;
    if (ssl === undefined) return undefined;
    const certificates = await readCertificates(ssl.tls);
    const server = tlsServer({ tls: ssl.tls, certificates, handshakeTimeout, accept, logger });
    return this.#listenSecure({ name: "listeners.ssl.default", server, tls: ssl.tls }, ssl);
  }

  async #listenWebSocket(): Promise<ListenAddress | undefined> {
    const { ws } = this.#parts.options;
    if (ws === undefined) return undefined;
    const server = webSocketServer({ websocket: ws.websocket, ...this.#webSocketParts() });
    return this.#listen("listeners.ws.default", server, ws);
  }

  async #listenSecureWebSocket(): Promise<ListenAddress | undefined> {
    const { wss } = this.#parts.options;
    if (wss === undefined) return undefined;
    const secure = { tls: wss.tls, certificates: await readCertificates(wss.tls) };
    const server = webSocketServer({ websocket: wss.websocket, secure, ...this.#webSocketParts() });
    return this.#listenSecure({ name: "listeners.wss.default", server, tls: wss.tls }, wss);
  }

  #webSocketParts() {
    const { options, accept, logger } = this.#parts;
    return { handshakeTimeout: options.idleTimeout, maxPacketSize: options.maxPacketSize, accept, logger };
  }

  #listenSecure(secure: SecureServer, address: ListenAddress): Promise<ListenAddress> {
    this.#secure.push(secure);
    return this.#listen(secure.name, secure.server, address);
  }

  #listen(name: string, server: Server, address: ListenAddress): Promise<ListenAddress> {
    const { failed, maxSockets } = this.#parts;
    server.maxConnections = maxSockets;
    server.on("drop", () => failed(new Error(`more than ${maxSockets} sockets are open at ${name}`)));
    this.#sockets.push(openSockets(server));
    const listener = new Listener(name, server, failed);
    this.#listeners.push(listener);
    return listener.listen(address);
  }
}
