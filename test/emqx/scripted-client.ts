// A client of the scripted node: its session with window and queue, and its subscriptions with their gates.

import assert from "node:assert/strict";
import type { CheckFrame } from "../../src/emqx/engine-frames.ts";
import { DroppedReason, type MessageKey, type NodeFrame, NodeOpcode } from "../../src/emqx/node-frames.ts";
import type { Message, QoS } from "../../src/mqtt/message.ts";
import type { SubscriptionRequest } from "../../src/mqtt/subscription.ts";

/** What the plugin in EMQX notes in a message's header; absent: the message is not stored. */
export type Header = "pending" | "replayed" | { readonly number: number; readonly shared: boolean };

export interface Entry {
  readonly message: Message;
  readonly topicFilter: string;
  readonly header: Header | undefined;
  readonly retained: boolean;
}

export interface ConnectOptions {
  readonly cleanStart?: boolean;
  readonly endsWithConnection?: boolean;
  readonly receiveMaximum?: number;
  readonly queueLimit?: number;
  readonly maximumPacketSize?: number;
  readonly clientIdAssigned?: boolean;
  readonly protocolVersion?: 3 | 4 | 5;
}

export interface Received {
  readonly id: string;
  readonly topic: string;
  readonly payload: string;
  readonly qos: QoS;
  readonly retained: boolean;
  readonly replayed: boolean;
  readonly message: Message;
}

/** Marked messages that a gate remembers. */
const GATE_KEEPS = 64;

/** Stands in for the client's process while a subscription catches up. */
interface Gate {
  readonly number: number;
  /** Of a session that came back: what was pushed to its last process may come here, and is told. */
  readonly isOfResumed: boolean;
  /** Messages above it are passed on; undefined: none that is stored. */
  live: number | undefined;
  kept: Entry[];
  /** The highest number that it has forgotten. */
  forgotten: number;
}

export interface ClientSubscription {
  request: SubscriptionRequest;
  gate: Gate | undefined;
}

export class ScriptedClient {
  readonly clientId: string;
  options: Required<ConnectOptions>;
  /** The number of its process. */
  session: number;
  connected = true;
  answersCheck = true;
  connectedAt = 0;
  /** What is above this number the engine does not count as pushed: it knows that the session is away. */
  released = Number.POSITIVE_INFINITY;
  gates = 0;
  readonly subscriptions = new Map<string, ClientSubscription>();
  queue: Entry[] = [];
  readonly inFlight = new Map<string, Entry>();
  /** Everything sent on the present connection. */
  received: Received[] = [];
  /** DELIVER frames that are not acknowledged, written or dropped. */
  readonly replays = new Set<string>();
  readonly #send: (frame: NodeFrame) => void;
  /** Whether deliveries are told although nobody asked. */
  readonly #reports: () => boolean;
  /** Whether a link of the cluster has broken: a second copy of what was under way is possible, also after a move. */
  readonly #repeats: () => boolean;

  constructor(
    clientId: string,
    session: number,
    options: Required<ConnectOptions>,
    send: (frame: NodeFrame) => void,
    reports: () => boolean,
    repeats: () => boolean,
  ) {
    this.clientId = clientId;
    this.session = session;
    this.options = options;
    this.#send = send;
    this.#reports = reports;
    this.#repeats = repeats;
  }

  get payloads(): string[] {
    return this.received.map(({ payload }) => payload);
  }

  get unacknowledged(): MessageKey[] {
    return [...this.inFlight.values()]
      .filter(({ header }) => header !== undefined)
      .map(({ message: { id, topic } }) => ({ id, topic }));
  }

  /** EMQX dispatches a message to a subscription: to its gate, or to the client's process. */
  dispatch(entry: Entry): void {
    const subscription = this.subscriptions.get(entry.topicFilter);
    if (subscription === undefined) return;
    const { gate } = subscription;
    if (gate === undefined || entry.header === undefined || entry.header === "replayed") this.take(entry);
    else if (entry.header === "pending") this.#drop(entry, DroppedReason.GateClosed);
    else if (gate.live === undefined) this.#keep(gate, entry);
    else if (entry.header.number > gate.live) this.take(entry);
    else if (gate.isOfResumed) this.#tellDropped(entry, DroppedReason.GateClosed);
  }

  /** LIVE has come. */
  goLive(topicFilter: string, number: number, upTo: number): void {
    const gate = this.subscriptions.get(topicFilter)?.gate;
    if (gate === undefined || gate.number !== number || gate.live !== undefined) return;
    gate.live = upTo;
    for (const entry of gate.kept.splice(0)) if (numberOf(entry) > upTo) this.take(entry);
    if (gate.forgotten > upTo) {
      const { session } = this;
      this.#send({ opcode: NodeOpcode.Missed, session, topicFilter, above: upTo, upTo: gate.forgotten });
    }
  }

  /** The gate is not needed any more. */
  open(topicFilter: string): void {
    const subscription = this.subscriptions.get(topicFilter);
    if (subscription?.gate?.live !== undefined) subscription.gate = undefined;
  }

  /** The client's process has a message to send. */
  take(entry: Entry): void {
    const { message, topicFilter, header } = entry;
    const request = this.subscriptions.get(topicFilter)?.request;
    if (request === undefined) {
      this.#drop(entry, DroppedReason.NoSession);
      return;
    }
    if (request.noLocal && message.from === this.clientId) {
      this.#drop(entry, DroppedReason.NoLocal);
      return;
    }
    const qos = Math.min(message.qos, request.qos) as QoS;
    if (!this.connected) {
      if (header !== undefined) {
        if (numberOf(entry) <= this.released) this.#drop(entry, DroppedReason.Away);
      } else if (qos > 0) {
        this.#enqueue(entry);
      }
      return;
    }
    if (qos === 0) {
      this.#note(entry, qos);
      this.#forgetReplay(entry);
      if (header === "replayed" || (header !== undefined && entry.retained)) this.#tellDelivered(entry, qos);
      return;
    }
    this.#enqueue(entry);
    this.drain();
  }

  /** Sends what the window allows. */
  drain(): void {
    while (this.connected && this.queue.length > 0 && this.inFlight.size < this.options.receiveMaximum) {
      const entry = this.queue.shift() as Entry;
      const { id } = entry.message;
      // EMQX would send a second copy under another Packet Identifier.
      if (this.inFlight.has(id) && this.#repeats()) continue;
      assert.ok(!this.inFlight.has(id), `${this.clientId} is not sent ${this.#name(entry)} while it has it in flight`);
      const qos = Math.min(entry.message.qos, this.subscriptions.get(entry.topicFilter)?.request.qos ?? 1) as QoS;
      this.inFlight.set(id, entry);
      this.#note(entry, qos);
      const { header } = entry;
      if (header === undefined || header === "replayed" || header === "pending") {
        if (header !== undefined && (entry.retained || this.#reports())) this.#tellDelivered(entry, qos);
      } else if (header.shared || entry.retained || this.#reports()) {
        this.#tellDelivered(entry, qos);
      }
    }
  }

  /** Sends what was in flight again, as on resume. */
  resend(): void {
    for (const entry of this.inFlight.values()) this.#note(entry, 1);
    this.drain();
  }

  ack(count = 1): void {
    for (const id of [...this.inFlight.keys()].slice(0, count)) {
      const entry = this.inFlight.get(id) as Entry;
      this.inFlight.delete(id);
      this.#forgetReplay(entry);
      const { topic } = entry.message;
      if (entry.header !== undefined) this.#send({ opcode: NodeOpcode.Acked, session: this.session, id, topic });
      this.drain();
    }
  }

  /** The engine sends a stored message. */
  deliver(entry: Entry): void {
    const { id } = entry.message;
    this.replays.add(id);
    // Those of a link that broke may be on their way still.
    const isBounded = this.replays.size <= this.options.receiveMaximum || this.#repeats();
    assert.ok(isBounded, `${this.clientId}: no more replays than its window`);
    this.take(entry);
  }

  /** Says what it has not of these. What waits in its queue it cannot see, as the plugin in EMQX cannot. */
  check({ passed, ids }: CheckFrame): void {
    if (!this.answersCheck) return;
    const inFlight = this.unacknowledged.map(({ id }) => id);
    const kept = [...this.subscriptions.values()].flatMap(({ gate }) => gate?.kept ?? []);
    const here = new Set([...inFlight, ...kept.map(({ message }) => message.id)]);
    const lost = passed || inFlight.length === 0 ? ids.filter((id) => !here.has(id)) : [];
    this.#send({ opcode: NodeOpcode.Lost, session: this.session, ids: lost });
  }

  #enqueue(entry: Entry): void {
    const { queueLimit } = this.options;
    if (this.queue.length >= queueLimit) {
      const oldest = this.queue.shift();
      if (oldest !== undefined) this.#drop(oldest, DroppedReason.QueueFull);
    }
    if (queueLimit > 0) this.queue.push(entry);
    else this.#drop(entry, DroppedReason.QueueFull);
  }

  #keep(gate: Gate, entry: Entry): void {
    keep(gate, entry);
    if (gate.isOfResumed) this.#tellDropped(entry, DroppedReason.GateClosed);
  }

  #drop(entry: Entry, reason: number): void {
    this.#forgetReplay(entry);
    this.#tellDropped(entry, reason);
  }

  #tellDropped(entry: Entry, reason: number): void {
    const { id, topic } = entry.message;
    if (entry.header !== undefined) {
      this.#send({ opcode: NodeOpcode.Dropped, session: this.session, reason, id, topic });
    }
  }

  #forgetReplay({ header, message }: Entry): void {
    if (header === "replayed") this.replays.delete(message.id);
  }

  #tellDelivered({ message: { id, topic }, header, retained }: Entry, qos: QoS): void {
    const replayed = header === "replayed";
    this.#send({ opcode: NodeOpcode.Delivered, session: this.session, qos, retained, replayed, id, topic });
  }

  #note(entry: Entry, qos: QoS): void {
    const { message, retained, header } = entry;
    this.received.push({
      id: message.id,
      topic: message.topic,
      payload: Buffer.from(message.payload).toString(),
      qos,
      retained,
      replayed: header === "replayed",
      message,
    });
  }

  #name({ message }: Entry): string {
    return `${message.topic} ${Buffer.from(message.payload)}`;
  }
}

function keep(gate: Gate, entry: Entry): void {
  gate.kept.push(entry);
  if (gate.kept.length <= GATE_KEEPS) return;
  gate.kept.sort((left, right) => numberOf(left) - numberOf(right));
  gate.forgotten = Math.max(gate.forgotten, numberOf(gate.kept.shift() as Entry));
}

function numberOf({ header }: Entry): number {
  return typeof header === "object" ? header.number : 0;
}
