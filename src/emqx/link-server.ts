// Listens for nodes, lets those in that have the secret, and puts their connections together to links.

import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type SecureContextOptions, Server as TlsServer } from "node:tls";
import { type ListenAddress, listenFailure, listenOn } from "../mqtt/listen.ts";
import type { Logger } from "../mqtt/logger.ts";
import { RepeatedWarning } from "../mqtt/repeated-warning.ts";
import { Admission } from "./admission.ts";
import type { FrameReader } from "./frame-reader.ts";
import { type Hello, MAX_SECRET_BYTES, MIN_SECRET_BYTES, newInstance, RefuseReason } from "./handshake.ts";
import { Link, type LinkListener } from "./link.ts";
import { type ConnectionLimits, LinkConnection } from "./link-connection.ts";
import { LinkOptionError, LinkRefusedError } from "./link-error.ts";

const MIB = 1024 * 1024;
/** What the end of the other side is waited for after GOODBYE, in ms. */
const GOODBYE_PATIENCE = 2000;

export interface LinkLimits extends ConnectionLimits {
  /** Connections that are not welcome yet. */
  readonly starting: number;
  /** How long one may take for its start, and a link until it is whole, in ms. */
  readonly startTimeout: number;
  readonly links: number;
}

/** As docs/emqx-link.md has them. */
export const linkLimits: LinkLimits = {
  longestFrame: 16 * MIB,
  windowPublishes: 4096,
  windowBytes: 16 * MIB,
  heartbeat: 5000,
  backlog: 16 * MIB,
  starting: 64,
  startTimeout: 5000,
  links: 64,
};

export interface LinkServerOptions {
  readonly host: string;
  readonly port: number;
  /** 16 to 1,024 bytes, the same on both sides. */
  readonly secret: Uint8Array;
  /** As nodes are told. */
  readonly engineVersion: string;
  /** Absent: without TLS. With `ca`, nodes must have a certificate of it. */
  readonly tls?: SecureContextOptions;
  readonly limits?: Partial<LinkLimits>;
  readonly logger: Logger;
}

export class LinkServer {
  readonly #options: Omit<LinkServerOptions, "secret">;
  readonly #limits: LinkLimits;
  readonly #listener: LinkListener;
  readonly #logger: Logger;
  /** In a function, so that no print of this object has it. */
  readonly #secret: () => Uint8Array;
  readonly #instance = newInstance();
  readonly #server: Server;
  /** From the accept on, so that those in the middle of a TLS handshake count too. */
  readonly #sockets = new Set<Socket>();
  readonly #welcomed = new Set<Socket>();
  readonly #starting = new Set<Admission>();
  /** By the instance of their node. */
  readonly #links = new Map<string, Link>();
  readonly #warnings = new Map<string, RepeatedWarning>();
  #isStopping = false;

  /** Throws `LinkOptionError` for a secret of a wrong length. */
  constructor(options: LinkServerOptions, listener: LinkListener) {
    const { secret, ...others } = options;
    const { tls, logger } = others;
    checkSecret(secret);
    this.#options = others;
    this.#secret = () => secret;
    this.#limits = { ...linkLimits, ...options.limits };
    this.#listener = listener;
    this.#logger = logger;
    if (tls === undefined) {
      this.#server = createServer({ noDelay: true });
    } else {
      const requestCert = tls.ca !== undefined;
      const handshakeTimeout = this.#limits.startTimeout;
      this.#server = createTlsServer({ ...tls, requestCert, rejectUnauthorized: requestCert, handshakeTimeout });
      this.#server.on("tlsClientError", (error: Error, socket: Socket) => {
        this.#warn("tls", { err: error, remoteAddress: socket.remoteAddress }, "a TLS handshake of the link failed");
        socket.destroy();
      });
    }
    this.#server.on("connection", (socket: Socket) => this.#count(socket));
    this.#server.on(tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
      if (!socket.destroyed) this.#accept(socket.setNoDelay());
    });
    this.#server.on("error", (error) => {
      if (this.#server.listening) logger.warn({ err: error }, "a connection of the link could not be accepted");
    });
  }

  get links(): readonly Link[] {
    return [...this.#links.values()];
  }

  /** Connections that are not welcome yet, or are refused and not closed yet. */
  get starting(): number {
    return this.#sockets.size - this.#welcomed.size;
  }

  /** Settles with the address that was bound. Rejects with `LinkOptionError`. */
  async listen(): Promise<ListenAddress> {
    try {
      return await listenOn(this.#server, this.#options);
    } catch (cause) {
      throw new LinkOptionError(listenFailure(this.#options, "EMQX", cause), { cause });
    }
  }

  /** For connections to come. Throws for a server without TLS, and for certificates that cannot be used. */
  setSecureContext(certificates: SecureContextOptions): void {
    if (!(this.#server instanceof TlsServer)) throw new Error("the link is without TLS");
    this.#server.setSecureContext(certificates);
  }

  /** Says goodbye to all nodes and closes. */
  async stop(why: string): Promise<void> {
    this.#isStopping = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const stopping = new LinkRefusedError(RefuseReason.Stopping, "The engine is stopping.");
    for (const admission of [...this.#starting]) admission.refuse(stopping);
    for (const link of this.#links.values()) link.goodbye(why);
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, GOODBYE_PATIENCE);
    await closed;
    clearTimeout(timer);
  }

  #count(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => this.#sockets.delete(socket));
    if (this.starting <= this.#limits.starting) return;
    this.#warn("starting", {}, "too many connections of the link are in their start: further ones are closed");
    socket.destroy();
  }

  #accept(socket: Socket): void {
    const { longestFrame, windowPublishes, windowBytes, heartbeat, startTimeout } = this.#limits;
    const { engineVersion } = this.#options;
    // Not known any more once it is closed.
    const { remoteAddress } = socket;
    const admission = new Admission(socket, {
      secret: this.#secret,
      instance: this.#instance,
      terms: { longestFrame, windowPublishes, windowBytes, heartbeat, engineVersion },
      timeout: startTimeout,
      check: (hello) => this.#check(hello),
      welcome: (hello, socket, reader) => {
        this.#starting.delete(admission);
        this.#welcome(hello, socket, reader);
      },
      refused: (error, hello) => {
        this.#starting.delete(admission);
        const fields = { err: error, remoteAddress, node: hello?.nodeName };
        const kind = error instanceof LinkRefusedError ? `refused ${error.reason}` : "protocol";
        this.#warn(kind, fields, `a connection of the link is closed: ${error.message}`);
      },
    });
    this.#starting.add(admission);
  }

  #check(hello: Hello): void {
    if (this.#isStopping) throw new LinkRefusedError(RefuseReason.Stopping, "The engine is stopping.");
    const link = this.#links.get(keyOf(hello));
    if (link !== undefined) link.check(hello);
    else if (this.#links.size >= this.#limits.links) {
      const message = `The engine has ${this.#limits.links} links already: let further nodes have an engine of their own.`;
      throw new LinkRefusedError(RefuseReason.TooManyLinks, message);
    }
  }

  #welcome(hello: Hello, socket: Socket, reader: FrameReader): void {
    this.#welcomed.add(socket);
    socket.once("close", () => this.#welcomed.delete(socket));
    const link = this.#links.get(keyOf(hello)) ?? this.#newLink(hello);
    const connection = new LinkConnection(hello.index, socket, reader, this.#limits, {
      frame: (connection, frame) => link.frame(connection, frame),
      hasRoomAgain: (connection) => link.hasRoomAgain(connection),
      closed: (_, cause) => link.closed(cause),
    });
    link.add(connection);
    connection.start();
  }

  #newLink(hello: Hello): Link {
    const { startTimeout } = this.#limits;
    const listener: LinkListener = {
      whole: (link) => {
        clearTimeout(timer);
        const { nodeName, emqxVersion, pluginVersion, remoteAddress } = link;
        const fields = { node: nodeName, emqx: emqxVersion, plugin: pluginVersion, remoteAddress };
        this.#logger.info(fields, "a node of EMQX is connected");
        this.#listener.whole(link);
      },
      frame: (link, connection, frame) => this.#listener.frame(link, connection, frame),
      hasRoomAgain: (link, connection) => this.#listener.hasRoomAgain(link, connection),
      broken: (link, cause) => {
        clearTimeout(timer);
        this.#links.delete(keyOf(hello));
        this.#tellBroken(link, cause);
        this.#listener.broken(link, cause);
      },
    };
    const link = new Link(hello, listener);
    const timer = setTimeout(() => {
      link.close(new Error(`not all of its ${hello.connections} connections came within ${startTimeout} ms`));
    }, startTimeout).unref();
    this.#links.set(keyOf(hello), link);
    return link;
  }

  #tellBroken({ nodeName }: Link, cause: Error | undefined): void {
    if (this.#isStopping) return;
    if (cause === undefined) this.#logger.info({ node: nodeName }, "a node of EMQX has closed its link");
    else this.#logger.warn({ err: cause, node: nodeName }, `the link to a node of EMQX is closed: ${cause.message}`);
  }

  /** Strangers may come often: the same kind is logged once a minute. */
  #warn(kind: string, fields: Record<string, unknown>, message: string): void {
    let warning = this.#warnings.get(kind);
    if (warning === undefined) {
      warning = new RepeatedWarning(this.#logger, message, () => Date.now());
      this.#warnings.set(kind, warning);
    }
    warning.warn(fields, message);
  }
}

/** Throws `LinkOptionError`. */
export function checkSecret(secret: Uint8Array): void {
  if (secret.length >= MIN_SECRET_BYTES && secret.length <= MAX_SECRET_BYTES) return;
  throw new LinkOptionError(
    `The secret of the link has ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes, and this one ${secret.length}.`,
  );
}

function keyOf({ instance }: Hello): string {
  return Buffer.from(instance).toString("hex");
}
