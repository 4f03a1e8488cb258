// An engine's end of the link for one test, with a listener that notes what it hears.

import type { EngineFrame } from "../../src/emqx/engine-frames.ts";
import type { Link, LinkListener } from "../../src/emqx/link.ts";
import type { LinkConnection } from "../../src/emqx/link-connection.ts";
import { LinkServer, type LinkServerOptions } from "../../src/emqx/link-server.ts";
import { type NodeFrame, NodeOpcode } from "../../src/emqx/node-frames.ts";
import { type LogEntry, loggerInto } from "../broker/broker-fixture.ts";
import { inReverse, type Scope } from "../support/temporary-directory.ts";
import { SECRET } from "./link-peer.ts";

export const SETTINGS: EngineFrame = {
  opcode: 0x61,
  topics: ["#"],
  ignoreStoreErrors: false,
  asyncPublishAck: false,
  acknowledgeUnstorable: false,
  timeout: 6000,
};

/** Answers CONFIGURE with SETTINGS, and notes everything. */
export class NotingListener implements LinkListener {
  readonly links: Link[] = [];
  readonly frames: NodeFrame[] = [];
  readonly causes: (Error | undefined)[] = [];
  readonly connections: LinkConnection[] = [];
  roomAgain = 0;
  onFrame: (frame: NodeFrame, connection: LinkConnection) => void = () => {};

  whole(link: Link): void {
    this.links.push(link);
  }

  frame(link: Link, connection: LinkConnection, frame: NodeFrame): void {
    this.frames.push(frame);
    if (!this.connections.includes(connection)) this.connections.push(connection);
    if (frame.opcode === NodeOpcode.Configure) {
      link.send(SETTINGS);
      link.isSettled();
    }
    this.onFrame(frame, connection);
  }

  hasRoomAgain(): void {
    this.roomAgain += 1;
  }

  broken(_link: Link, cause: Error | undefined): void {
    this.causes.push(cause);
  }
}

export interface LinkFixture {
  readonly server: LinkServer;
  readonly listener: NotingListener;
  readonly port: number;
  readonly log: LogEntry[];
  /** Undone before the server stops: for the peers. */
  readonly scope: Scope;
}

export async function startLinkServer(
  scope: Scope,
  options: Partial<LinkServerOptions> = {},
  listener = new NotingListener(),
): Promise<LinkFixture> {
  const log: LogEntry[] = [];
  const ordered = inReverse(scope);
  const server = new LinkServer(
    { host: "127.0.0.1", port: 0, secret: SECRET, engineVersion: "0.1.0", logger: loggerInto(log), ...options },
    listener,
  );
  const { port } = await server.listen();
  ordered.after(() => server.stop("the test is over"));
  return { server, listener, port, log, scope: ordered };
}
