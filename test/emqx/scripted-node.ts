// An EMQX node with the plugin in it, scripted: the other end of the link, as docs/emqx-link.md and EMQX's sessions have it.

import assert from "node:assert/strict";
import { type Answer, type EngineFrame, EngineOpcode, type Settings } from "../../src/emqx/engine-frames.ts";
import { newInstance } from "../../src/emqx/handshake.ts";
import { DroppedReason, type NodeFrame, NodeOpcode, publishFrame } from "../../src/emqx/node-frames.ts";
import type { Message } from "../../src/mqtt/message.ts";
import { MessageIdGenerator } from "../../src/mqtt/message-id.ts";
import type { SubscriptionRequest } from "../../src/mqtt/subscription.ts";
import { parseTopicFilter, topicMatches } from "../../src/mqtt/topic.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { PeerConnection, SECRET } from "./link-peer.ts";
import { type ConnectOptions, type Header, ScriptedClient } from "./scripted-client.ts";

export interface NodeOptions {
  readonly port: number;
  readonly secret?: Uint8Array;
  readonly connections?: number;
  /** The plugin's configuration, for CONFIGURE. */
  readonly config?: unknown;
  readonly nodeName?: string;
  /** Puts off what another process does, for random interleavings; what has one key keeps its order. */
  readonly later?: (key: string, run: () => void) => void;
}

export type PublishOutcome =
  | { readonly result: "stored" | "pass" }
  | Extract<Answer, { result: "refused" }>
  /** There was no answer. */
  | { readonly result: "unreachable" };

/** All nodes have one clock, more or less. */
let clock = 0;

/** Sets it back, for instance. */
export function setClock(value: number): void {
  clock = value;
}

export class ScriptedNode {
  /** The nodes that route to each other, this one among them. */
  cluster: readonly ScriptedNode[] = [this];
  readonly clients = new Map<string, ScriptedClient>();
  readonly published: Message[] = [];
  readonly retained = new Map<string, Message>();
  /** For each message the connected clients that were subscribed with QoS 1 or 2 when it was routed. */
  readonly subscribed = new Map<string, Set<string>>();
  settings: Settings | undefined;
  health: string | undefined;
  /** What every HEALTH said. */
  readonly healths: (string | undefined)[] = [];
  /** Of the last CONFIGURED. */
  configured: { readonly problem?: string } | undefined;
  /** Frames but PING and PONG, both ways. */
  frames = 0;
  /** CHECK frames that have come. */
  checks = 0;
  /** Deliveries are told although nobody asked, as after a link that broke. */
  reports = false;
  isUp = false;
  /** The link has broken at some time. */
  hasBroken = false;
  readonly #scope: Scope;
  readonly #options: NodeOptions;
  readonly #ids = new MessageIdGenerator();
  readonly #instance = newInstance();
  /** Called when a session does not send a message. */
  onDropped: (clientId: string, id: string) => void = () => {};
  readonly #groups = new Map<string, string[]>();
  /** Filters by client. */
  readonly #untold = new Map<string, Set<string>>();
  readonly #publishes = new Map<string, (outcome: PublishOutcome, header?: Header) => void>();
  #peers: PeerConnection[] = [];
  #handled: number[] = [];
  #pongs: number[] = [];
  #sessions = 0;
  #requests = 0;

  constructor(scope: Scope, options: NodeOptions) {
    this.#scope = scope;
    this.#options = options;
  }

  static async start(scope: Scope, options: NodeOptions): Promise<ScriptedNode> {
    const node = new ScriptedNode(scope, options);
    await node.openLink();
    return node;
  }

  /** Opens the link, sends the configuration, and tells all sessions again. */
  async openLink(): Promise<void> {
    const { port, secret = SECRET, connections = 4, nodeName = "emqx@127.0.0.1" } = this.#options;
    this.configured = undefined;
    const peers = await Promise.all(
      Array.from({ length: connections }, (_, index) =>
        PeerConnection.open(this.#scope, {
          port,
          secret,
          hello: { instance: this.#instance, index, connections, nodeName },
        }),
      ),
    );
    this.#peers = peers;
    this.#handled = peers.map(() => 0);
    this.#pongs = peers.map(() => 0);
    for (const [index, peer] of peers.entries()) {
      peer.onFrame = (frame) => this.#handle(index, frame);
      void peer.closed.then(() => {
        if (this.#peers === peers) this.breakLink();
      });
    }
    this.configure(this.#options.config ?? {});
    await waitFor(() => this.isUp || this.configured?.problem !== undefined, { what: "SETTINGS" });
  }

  /** Sends a configuration. */
  configure(config: unknown): void {
    this.configured = undefined;
    this.#send(0, {
      opcode: NodeOpcode.Configure,
      request: ++this.#requests,
      json: Buffer.from(JSON.stringify(config)),
    });
  }

  /** All connections are cut; what is under way is lost. */
  breakLink(): void {
    const peers = this.#peers;
    this.#peers = [];
    this.isUp = false;
    this.hasBroken = true;
    for (const peer of peers) {
      peer.onFrame = () => {};
      peer.socket.destroy();
    }
    for (const settle of [...this.#publishes.values()]) settle({ result: "unreachable" });
    this.#publishes.clear();
  }

  connect(clientId: string, options: ConnectOptions = {}): ScriptedClient {
    const full = {
      cleanStart: true,
      endsWithConnection: true,
      receiveMaximum: 10,
      queueLimit: 1000,
      maximumPacketSize: 0,
      clientIdAssigned: false,
      protocolVersion: 5 as const,
      ...options,
    };
    const before = this.clients.get(clientId);
    if (before?.connected) this.disconnect(clientId);
    if (full.cleanStart && this.clients.has(clientId)) this.#end(this.client(clientId));
    const existing = this.clients.get(clientId);
    const resumed = existing !== undefined;
    const client = existing ?? this.#newClient(clientId, full);
    if (resumed) client.session = ++this.#sessions;
    client.options = full;
    client.connected = true;
    client.connectedAt = ++clock;
    client.released = Number.POSITIVE_INFINITY;
    client.received = [];
    client.replays.clear();
    for (const [topicFilter, subscription] of client.subscriptions)
      subscription.gate = this.#newGate(client, topicFilter, true);
    this.#tell(client, { resumed, toldAgain: false });
    client.resend();
    return client;
  }

  /** The client comes back on this node: its session moves here from another one. */
  takeOver(clientId: string, from: ScriptedNode): ScriptedClient {
    const old = from.client(clientId);
    from.clients.delete(clientId);
    old.connected = false;
    from.#sendFor(clientId, { opcode: NodeOpcode.Disconnected, session: old.session, livesOn: true });
    const client = this.#newClient(clientId, old.options);
    client.connectedAt = ++clock;
    client.queue = old.queue;
    for (const [id, entry] of old.inFlight) client.inFlight.set(id, entry);
    for (const [topicFilter, { request }] of old.subscriptions) {
      client.subscriptions.set(topicFilter, { request, gate: this.#newGate(client, topicFilter, true) });
    }
    old.inFlight.clear();
    old.queue = [];
    this.#tell(client, { resumed: true, toldAgain: false });
    client.resend();
    return client;
  }

  disconnect(clientId: string): void {
    const client = this.client(clientId);
    client.connected = false;
    client.replays.clear();
    const livesOn = !client.options.endsWithConnection;
    this.#sendFor(clientId, { opcode: NodeOpcode.Disconnected, session: client.session, livesOn });
    if (!livesOn) this.#end(client);
  }

  subscribe(clientId: string, topicFilter: string, options: Partial<SubscriptionRequest> = {}): void {
    const request = { topicFilter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, ...options };
    this.#subscribe(this.client(clientId), request as SubscriptionRequest);
  }

  unsubscribe(clientId: string, topicFilter: string): void {
    const client = this.client(clientId);
    if (!client.subscriptions.delete(topicFilter)) return;
    this.#leaveGroup(topicFilter, clientId);
    this.#sendFor(clientId, { opcode: NodeOpcode.Unsubscribed, session: client.session, topicFilter });
  }

  /** As message.publish does it: waits for the engine, then routes what may be routed. */
  async publish(topic: string, payload: string, options: Partial<Message> = {}): Promise<PublishOutcome> {
    const message: Message = {
      id: this.#ids.next(),
      from: "publisher",
      topic,
      qos: 1,
      retain: false,
      payload: Buffer.from(payload),
      timestamp: Date.now(),
      ...options,
    };
    const asks = message.qos > 0 && (this.settings?.topics ?? ["#"]).some((filter) => topicMatches(filter, topic));
    if (!asks) {
      this.#route(message, undefined);
      return { result: "pass" };
    }
    if (!this.isUp) return this.#undecided(message);
    if (this.settings?.asyncPublishAck && message.qos === 1) return this.#publishAsync(message);
    const { outcome, header } = await this.#ask(message, false);
    if (outcome.result === "unreachable") return this.#undecided(message);
    if (outcome.result === "refused") return outcome;
    await new Promise<void>((resolve) => this.#later(message.from, resolve));
    this.#route(message, header);
    return outcome;
  }

  ack(clientId: string, count = 1): void {
    this.client(clientId).ack(count);
  }

  /** As when a CHECK without ids is handled late. */
  answerCheck(clientId: string): void {
    this.#sendFor(clientId, { opcode: NodeOpcode.Lost, session: this.client(clientId).session, ids: [] });
  }

  client(clientId: string): ScriptedClient {
    const client = this.clients.get(clientId);
    assert.ok(client, `there is a session of ${clientId}`);
    return client;
  }

  session(clientId: string): ScriptedClient {
    return this.client(clientId);
  }

  isCatchingUp(clientId: string, topicFilter: string): boolean {
    const gate = this.client(clientId).subscriptions.get(topicFilter)?.gate;
    return gate !== undefined && gate.live === undefined;
  }

  /** All gates that are live are taken away, as a second after LIVE. */
  openGates(): void {
    for (const client of this.clients.values()) {
      for (const topicFilter of client.subscriptions.keys()) client.open(topicFilter);
    }
  }

  /** Settles when the engine has handled all that was sent, and what it answered has come. */
  async roundTrip(): Promise<void> {
    const peers = this.#peers;
    const pongs = [...this.#pongs];
    for (const [index, peer] of peers.entries()) {
      peer.send({ opcode: NodeOpcode.Ping, answers: this.#handled[index] ?? 0 });
    }
    await waitFor(() => this.#peers !== peers || this.#pongs.every((count, index) => count > (pongs[index] ?? 0)), {
      what: "PONG",
      interval: 1,
    });
  }

  /** An answer that comes too late, as after a time-out. */
  notRouted(message: Message): void {
    const { id, topic, from } = message;
    this.#sendFor(from, { opcode: NodeOpcode.NotRouted, id, topic });
  }

  /** Asks the engine, and does not route: what EMQX does when the answer comes too late. */
  async publishUnrouted(message: Message): Promise<PublishOutcome> {
    const { outcome } = await this.#ask(message, false);
    this.notRouted(message);
    return outcome;
  }

  /** The node takes nothing from its sockets. */
  pauseReading(): void {
    for (const { socket } of this.#peers) socket.pause();
  }

  resumeReading(): void {
    for (const { socket } of this.#peers) socket.resume();
  }

  sendRaw(clientId: string, frame: NodeFrame): void {
    this.#sendFor(clientId, frame);
  }

  async #publishAsync(message: Message): Promise<PublishOutcome> {
    const asked = this.#ask(message, true);
    this.#route(message, "pending");
    const { outcome } = await asked;
    return outcome;
  }

  #undecided(message: Message): PublishOutcome {
    if (!this.settings?.ignoreStoreErrors) return { result: "unreachable" };
    this.#route(message, undefined);
    return { result: "pass" };
  }

  #ask(message: Message, routed: boolean): Promise<{ outcome: PublishOutcome; header: Header | undefined }> {
    const index = this.#indexOf(message.from);
    const request = ++this.#requests;
    return new Promise((resolve) => {
      this.#publishes.set(`${index} ${request}`, (outcome, header) => resolve({ outcome, header }));
      this.#send(index, publishFrame(request, message, routed));
    });
  }

  #route(message: Message, header: Header | undefined): void {
    this.published.push(message);
    const subscribed = new Set<string>();
    this.subscribed.set(message.id, subscribed);
    for (const node of this.cluster) node.#dispatch(message, header, subscribed);
  }

  #dispatch(message: Message, header: Header | undefined, subscribed: Set<string>): void {
    if (message.retain) this.retained.set(message.topic, message);
    for (const client of this.clients.values()) {
      for (const { request } of client.subscriptions.values()) {
        const { topicFilter } = request;
        if (topicFilter.startsWith("$share/") || !topicMatches(topicFilter, message.topic)) continue;
        if (client.connected && request.qos > 0 && !(request.noLocal && message.from === client.clientId)) {
          subscribed.add(client.clientId);
        }
        this.#later(message.from, () => client.dispatch({ message, topicFilter, header, retained: false }));
      }
    }
    for (const [topicFilter, members] of this.#groups) {
      if (!topicMatches(parseTopicFilter(topicFilter).filter, message.topic)) continue;
      const member = members.find((clientId) => this.client(clientId).connected);
      if (member === undefined) continue;
      members.push(...members.splice(members.indexOf(member), 1));
      this.#later(message.from, () =>
        this.clients.get(member)?.dispatch({ message, topicFilter, header, retained: false }),
      );
    }
  }

  #newClient(clientId: string, options: Required<ConnectOptions>): ScriptedClient {
    this.#sessions += 1;
    const send = (frame: NodeFrame): void => {
      if (frame.opcode === NodeOpcode.Dropped) this.onDropped(clientId, frame.id);
      this.#sendFor(clientId, frame);
    };
    const repeats = (): boolean => this.cluster.some(({ hasBroken }) => hasBroken);
    const client = new ScriptedClient(clientId, this.#sessions, options, send, () => this.reports, repeats);
    this.clients.set(clientId, client);
    return client;
  }

  #subscribe(client: ScriptedClient, request: SubscriptionRequest): void {
    const { topicFilter } = request;
    const { clientId, session } = client;
    const existing = client.subscriptions.get(topicFilter);
    const gate = existing === undefined ? this.#newGate(client, topicFilter) : existing.gate;
    client.subscriptions.set(topicFilter, { request, gate });
    const shared = topicFilter.startsWith("$share/");
    if (shared && existing === undefined) {
      this.#groups.set(topicFilter, [...(this.#groups.get(topicFilter) ?? []), clientId]);
    }
    const isNew = existing === undefined;
    this.#sendFor(clientId, {
      opcode: NodeOpcode.Subscribed,
      session,
      isNew,
      gate: gateNumber(gate),
      subscription: request,
    });
    if (shared || request.retainHandling === 2 || (request.retainHandling === 1 && !isNew)) return;
    for (const message of this.retained.values()) {
      if (!topicMatches(topicFilter, message.topic)) continue;
      client.take({ message, topicFilter, header: { number: 0, shared: false }, retained: true });
    }
  }

  /** Gated are a client's own subscriptions whose filters do not begin with `$`. */
  #newGate(client: ScriptedClient, topicFilter: string, isOfResumed = false) {
    if (topicFilter.startsWith("$") || this.settings?.topics.length === 0) return undefined;
    client.gates += 1;
    return { number: client.gates, isOfResumed, live: undefined, kept: [], forgotten: 0 };
  }

  #tell(client: ScriptedClient, { resumed, toldAgain }: { resumed: boolean; toldAgain: boolean }): void {
    const { options, session, clientId, connectedAt, connected } = client;
    this.#sendFor(clientId, {
      opcode: NodeOpcode.Connected,
      session,
      resumed,
      clientIdAssigned: options.clientIdAssigned,
      outlives: !options.endsWithConnection,
      toldAgain,
      away: !connected,
      protocolVersion: options.protocolVersion,
      receiveMaximum: options.receiveMaximum,
      maximumPacketSize: options.maximumPacketSize,
      connectedAt,
      clientId,
      subscriptions: [...client.subscriptions.values()].map(({ request, gate }) => ({
        gate: gateNumber(gate),
        subscription: request,
      })),
      unacknowledged: toldAgain ? client.unacknowledged : [],
    });
  }

  #handle(index: number, frame: EngineFrame): void {
    if (frame.opcode !== EngineOpcode.Pong) this.frames += 1;
    switch (frame.opcode) {
      case EngineOpcode.Answers:
        for (const answer of frame.answers) this.#answered(index, answer);
        break;
      case EngineOpcode.Deliver:
        this.#later(`link ${index}`, () => this.#deliver(index, frame));
        break;
      case EngineOpcode.Live:
        this.#later(`link ${index}`, () =>
          this.#bySession(frame.session)?.goLive(frame.topicFilter, frame.gate, frame.number),
        );
        break;
      case EngineOpcode.Restore: {
        const client = this.#bySession(frame.session);
        const { subscription } = frame;
        if (client?.connected && !client.subscriptions.has(subscription.topicFilter)) {
          this.#subscribe(client, subscription);
        }
        break;
      }
      case EngineOpcode.Release: {
        const client = this.#bySession(frame.session);
        if (client !== undefined && !client.connected) client.released = frame.number;
        break;
      }
      case EngineOpcode.Check:
        this.checks += 1;
        this.#bySession(frame.session)?.check(frame);
        break;
      case EngineOpcode.Settings: {
        const isFirst = !this.isUp;
        this.settings = frame;
        this.isUp = true;
        if (isFirst) this.#tellAgain();
        break;
      }
      case EngineOpcode.Health:
        this.health = frame.problem;
        this.healths.push(frame.problem);
        break;
      case EngineOpcode.Configured:
        this.configured = frame;
        break;
      case EngineOpcode.Pong:
        this.#pongs[index] = (this.#pongs[index] ?? 0) + 1;
        break;
      case EngineOpcode.Goodbye:
        break;
    }
  }

  #tellAgain(): void {
    // What is open stays open, and its deliveries are told for some time.
    this.reports = this.clients.size > 0;
    for (const client of this.clients.values()) {
      client.replays.clear();
      if (client.connected || client.unacknowledged.length > 0) this.#tell(client, { resumed: true, toldAgain: true });
      if (client.connected) this.#tellUntold(client);
    }
    this.#untold.clear();
  }

  #answered(index: number, answer: Answer): void {
    this.#handled[index] = (this.#handled[index] ?? 0) + 1;
    const key = `${index} ${answer.request}`;
    const settle = this.#publishes.get(key);
    assert.ok(settle, `request ${answer.request} is under way`);
    this.#publishes.delete(key);
    if (answer.result !== "stored") settle(answer);
    else settle({ result: "stored" }, { number: answer.number, shared: answer.reportDeliveries });
  }

  #deliver(
    index: number,
    { session, topicFilter, message, mayBeRetained }: Extract<EngineFrame, { opcode: 0x51 }>,
  ): void {
    const client = this.#bySession(session);
    if (mayBeRetained && this.retained.get(message.topic)?.id === message.id) return;
    if (client === undefined || !client.subscriptions.has(topicFilter)) {
      const { id, topic } = message;
      const frame = { opcode: NodeOpcode.Dropped, session, reason: DroppedReason.NoSession, id, topic } as const;
      if (this.isUp) this.#send(index, frame);
      return;
    }
    client.deliver({ message, topicFilter, header: "replayed", retained: false });
  }

  #bySession(session: number): ScriptedClient | undefined {
    return [...this.clients.values()].find((client) => client.session === session);
  }

  #end(client: ScriptedClient): void {
    const { clientId, session } = client;
    this.clients.delete(clientId);
    for (const topicFilter of client.subscriptions.keys()) this.#leaveGroup(topicFilter, clientId);
    // What is still on its way to its process is lost with it.
    client.subscriptions.clear();
    this.#sendFor(clientId, { opcode: NodeOpcode.Ended, session });
  }

  #leaveGroup(topicFilter: string, clientId: string): void {
    const members = this.#groups.get(topicFilter)?.filter((member) => member !== clientId);
    if (members === undefined) return;
    if (members.length === 0) this.#groups.delete(topicFilter);
    else this.#groups.set(topicFilter, members);
  }

  #later(key: string, run: () => void): void {
    if (this.#options.later === undefined) run();
    else this.#options.later(key, run);
  }

  #sendFor(clientId: string, frame: NodeFrame): void {
    // Events are not kept for later: they are told again.
    if (this.isUp) this.#send(this.#indexOf(clientId), frame);
    else if (frame.opcode === NodeOpcode.Unsubscribed) this.#note(clientId, frame.topicFilter);
    else if (frame.opcode === NodeOpcode.Subscribed) this.#note(clientId, frame.subscription?.topicFilter);
  }

  /** A subscription has changed while the link is down. */
  #note(clientId: string, topicFilter = ""): void {
    this.#untold.set(clientId, (this.#untold.get(clientId) ?? new Set()).add(topicFilter));
  }

  #tellUntold({ clientId, session, subscriptions }: ScriptedClient): void {
    for (const topicFilter of this.#untold.get(clientId) ?? []) {
      const subscription = subscriptions.get(topicFilter);
      if (subscription === undefined) {
        this.#sendFor(clientId, { opcode: NodeOpcode.Unsubscribed, session, topicFilter });
      } else {
        const { request, gate } = subscription;
        const held = { gate: gateNumber(gate), subscription: request };
        this.#sendFor(clientId, { opcode: NodeOpcode.Subscribed, session, isNew: false, ...held });
      }
    }
  }

  #send(index: number, frame: NodeFrame): void {
    this.frames += 1;
    this.#peers[index]?.send(frame);
  }

  #indexOf(clientId: string): number {
    let hash = 0;
    for (const character of clientId) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 65_521;
    return hash % Math.max(1, this.#peers.length);
  }
}

function gateNumber(gate: { number: number; live: number | undefined } | undefined): number {
  return gate === undefined || gate.live !== undefined ? 0 : gate.number;
}
