// An engine that a test writes the part of, behind the true end of the link: it notes frames and answers as it is told.

import type { Answer, EngineFrame, Settings } from "../../src/emqx/engine-frames.ts";
import { EngineOpcode } from "../../src/emqx/engine-frames.ts";
import type { Link, LinkListener } from "../../src/emqx/link.ts";
import type { LinkConnection } from "../../src/emqx/link-connection.ts";
import type { LinkServerOptions } from "../../src/emqx/link-server.ts";
import { type GatedSubscription, type NodeFrame, NodeOpcode, type PublishFrame } from "../../src/emqx/node-frames.ts";
import type { NotingListener } from "../emqx/link-fixture.ts";
import { type LinkFixture, startLinkServer } from "../emqx/link-fixture.ts";
import { SECRET } from "../emqx/link-peer.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { connectTo, type ErlangNode, startErlangNode } from "./erlang-node.ts";

/** More than a busy machine needs for a frame, in ms. */
const PATIENCE = 20_000;

export type FrameOf<Name extends keyof typeof NodeOpcode> = Extract<
  NodeFrame,
  { readonly opcode: (typeof NodeOpcode)[Name] }
>;

/** What becomes of a publish, without its request number; undefined: no answer. */
export type Outcome = Answer extends infer One ? (One extends Answer ? Omit<One, "request"> : never) : never;

export class ScriptedEngine implements LinkListener {
  settings: Settings = {
    topics: ["#"],
    ignoreStoreErrors: false,
    asyncPublishAck: false,
    acknowledgeUnstorable: false,
    timeout: 20_000,
  };
  /** Why a configuration is not taken. */
  problem: string | undefined;
  /** Answers a CONFIGURE. */
  answersConfigure = true;
  number = 1_790_000_000_000_000;
  /** Says LIVE at once to every subscription that is held. */
  saysLive = true;
  /** What is answered to a publish. */
  outcome: (frame: PublishFrame) => Outcome | undefined = () => this.stored();
  readonly frames: NodeFrame[] = [];
  readonly links: Link[] = [];
  /** Why links ended. */
  readonly causes: (Error | undefined)[] = [];
  /** The connection on which each session came. */
  readonly #connections = new Map<number, LinkConnection>();

  stored(reportDeliveries = false): Outcome {
    this.number += 1;
    return { result: "stored", number: this.number, reportDeliveries };
  }

  whole(link: Link): void {
    this.links.push(link);
  }

  frame(link: Link, connection: LinkConnection, frame: NodeFrame): void {
    this.frames.push(frame);
    if (frame.opcode === NodeOpcode.Configure && this.answersConfigure) {
      link.send({ opcode: EngineOpcode.Configured, request: frame.request, problem: this.problem });
      if (this.problem === undefined) {
        link.send({ opcode: EngineOpcode.Settings, ...this.settings });
        link.isSettled();
        link.send({ opcode: EngineOpcode.Health });
      }
    }
    if (frame.opcode === NodeOpcode.Connected) this.#connections.set(frame.session, connection);
    if (frame.opcode === NodeOpcode.Connected && this.saysLive) {
      for (const held of frame.subscriptions) this.#live(connection, frame.session, held);
    }
    if (frame.opcode === NodeOpcode.Subscribed && this.saysLive) this.#live(connection, frame.session, frame);
    if (frame.opcode === NodeOpcode.Publish) {
      const outcome = this.outcome(frame);
      if (outcome !== undefined) connection.answer({ request: frame.request, ...outcome } as Answer);
    }
  }

  #live(connection: LinkConnection, session: number, { gate, subscription }: GatedSubscription): void {
    const topicFilter = subscription?.topicFilter ?? "";
    if (gate > 0) connection.send({ opcode: EngineOpcode.Live, session, topicFilter, gate, number: this.number });
  }

  hasRoomAgain(): void {}

  broken(_link: Link, cause: Error | undefined): void {
    this.causes.push(cause);
  }

  /** The connection on which the session was announced. */
  connectionOf(session: number): LinkConnection {
    const connection = this.#connections.get(session);
    if (connection === undefined) throw new Error(`no CONNECTED of session ${session} has come`);
    return connection;
  }

  /** To the session, on the connection that it came on. */
  sendTo(session: number, frame: EngineFrame): void {
    this.connectionOf(session).send(frame);
  }

  all<Name extends keyof typeof NodeOpcode>(name: Name): FrameOf<Name>[] {
    return this.frames.filter((frame): frame is FrameOf<Name> => frame.opcode === NodeOpcode[name]);
  }

  /** The frame of this kind with this number, from 1; waits for it. */
  next<Name extends keyof typeof NodeOpcode>(name: Name, count = 1): Promise<FrameOf<Name>> {
    return waitFor(() => this.all(name)[count - 1], { what: `${name} number ${count}`, timeout: PATIENCE });
  }
}

export interface Plugin {
  readonly node: ErlangNode;
  readonly engine: ScriptedEngine;
  readonly link: LinkFixture;
}

export interface PluginOptions {
  readonly release?: string;
  readonly settings?: Partial<Settings>;
  /** More keys of the configuration, as the rest of an Erlang map. */
  readonly configuration?: string;
  readonly link?: Partial<LinkServerOptions>;
}

export function startScriptedEngine(
  scope: Scope,
  engine: ScriptedEngine,
  options?: Partial<LinkServerOptions>,
): Promise<LinkFixture> {
  return startLinkServer(scope, options, engine as LinkListener as NotingListener);
}

/** A node with the plugin, connected to a scripted engine, and well. */
export async function startPlugin(scope: Scope, ebin: string, options: PluginOptions = {}): Promise<Plugin> {
  const engine = new ScriptedEngine();
  engine.settings = { ...engine.settings, ...options.settings };
  const link = await startScriptedEngine(scope, engine, options.link);
  const configuration = connectTo(link.port, SECRET.toString(), options.configuration);
  const node = await startErlangNode(scope, ebin, { configuration, release: options.release });
  await node.start();
  await node.isWell();
  return { node, engine, link };
}
