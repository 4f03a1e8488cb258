// One node's link: all connections of one start of the plugin in EMQX. It is whole or it is not, and ends as a whole.

import type { Answer, EngineFrame } from "./engine-frames.ts";
import { type Hello, RefuseReason } from "./handshake.ts";
import type { LinkConnection } from "./link-connection.ts";
import { LinkProtocolError, LinkRefusedError } from "./link-error.ts";
import { type NodeFrame, NodeOpcode } from "./node-frames.ts";

export interface LinkListener {
  /** All connections are there. */
  whole(link: Link): void;
  /** Throws `LinkProtocolError` for what must not come. */
  frame(link: Link, connection: LinkConnection, frame: NodeFrame): void;
  hasRoomAgain(link: Link, connection: LinkConnection): void;
  /** Over for good, once. `cause`: absent, the node closed it. */
  broken(link: Link, cause: Error | undefined): void;
}

export class Link {
  readonly nodeName: string;
  readonly emqxVersion: string;
  readonly pluginVersion: string;
  readonly #listener: LinkListener;
  readonly #connections: (LinkConnection | undefined)[];
  #isUp = false;
  #isBroken = false;

  constructor({ nodeName, emqxVersion, pluginVersion, connections }: Hello, listener: LinkListener) {
    this.nodeName = nodeName;
    this.emqxVersion = emqxVersion;
    this.pluginVersion = pluginVersion;
    this.#listener = listener;
    this.#connections = Array.from({ length: connections }, () => undefined);
  }

  get isWhole(): boolean {
    return !this.#isBroken && this.#connections.every((connection) => connection !== undefined);
  }

  /** The node has the settings: it tells of sessions and publishes. */
  get isUp(): boolean {
    return this.#isUp && !this.#isBroken;
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  get remoteAddress(): string | undefined {
    return this.#connections.find((connection) => connection !== undefined)?.remoteAddress;
  }

  /** Throws `LinkRefusedError` for a connection that does not fit. */
  check({ index, connections }: Hello): void {
    const count = this.#connections.length;
    if (connections !== count) {
      const message = `The link of ${this.nodeName} has ${count} connections, and another one says ${connections}.`;
      throw new LinkRefusedError(RefuseReason.WrongIndex, message);
    }
    if (this.#connections[index] === undefined) return;
    const message = `The link of ${this.nodeName} has its connection ${index} already.`;
    throw new LinkRefusedError(RefuseReason.WrongIndex, message);
  }

  add(connection: LinkConnection): void {
    this.#connections[connection.index] = connection;
    if (this.isWhole) this.#listener.whole(this);
  }

  /** From its connections. */
  frame(connection: LinkConnection, frame: NodeFrame): void {
    const isEarly = frame.opcode === NodeOpcode.Configure || frame.opcode === NodeOpcode.Ping;
    if (frame.opcode === NodeOpcode.Configure && !this.isWhole) {
      throw new LinkProtocolError("CONFIGURE comes before the link is whole");
    }
    if (!this.#isUp && !isEarly) throw new LinkProtocolError("a frame comes before SETTINGS");
    this.#listener.frame(this, connection, frame);
  }

  hasRoomAgain(connection: LinkConnection): void {
    this.#listener.hasRoomAgain(this, connection);
  }

  /** A frame that is about no client. */
  send(frame: EngineFrame): void {
    this.#connections[0]?.send(frame);
  }

  /** SETTINGS are written: everything may come now. */
  isSettled(): void {
    this.#isUp = true;
  }

  /** A connection is over, and with it all of them. */
  closed(cause: Error | undefined): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    for (const connection of this.#connections) connection?.close();
    this.#listener.broken(this, cause);
  }

  close(cause: Error): void {
    this.closed(cause);
  }

  /** Says on every connection why the link ends. */
  goodbye(why: string): void {
    for (const connection of this.#connections) connection?.goodbye(why);
  }
}

/** Where a PUBLISH is answered. */
export interface Asker {
  answer(answer: Answer): void;
}
