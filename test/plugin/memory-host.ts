// A host in memory for the plugin's tests: sessions with a window and a queue, routing, shared subscriptions. It keeps
// to the contract of src/plugin/host.ts and checks what the plugin must never do.

import assert from "node:assert/strict";
import type { Message, QoS } from "../../src/mqtt/message.ts";
import { MessageIdGenerator } from "../../src/mqtt/message-id.ts";
import type { SubscriptionRequest } from "../../src/mqtt/subscription.ts";
import { parseTopicFilter, topicMatches } from "../../src/mqtt/topic.ts";
import type { PublishResult, RemoteHooks } from "../../src/plugin/hooks.ts";
import type { DeliverResult, Host, ReplayTarget } from "../../src/plugin/host.ts";

interface Entry {
  readonly message: Message;
  readonly topicFilter: string;
  readonly retained: boolean;
}

interface MemorySubscription extends SubscriptionRequest {
  catchingUp: boolean;
  held: Entry[];
}

export interface ConnectOptions {
  readonly cleanStart?: boolean;
  /** The session ends with the connection. */
  readonly endsWithConnection?: boolean;
  readonly receiveMaximum?: number;
  readonly queueLimit?: number;
  readonly maxPayload?: number;
  readonly clientIdAssigned?: boolean;
}

export interface Received {
  readonly id: string;
  readonly topic: string;
  readonly payload: string;
  readonly qos: QoS;
  readonly retained: boolean;
  /** Handed over by the plugin. */
  readonly replayed: boolean;
}

export class MemorySession {
  readonly clientId: string;
  options: Required<ConnectOptions>;
  connected = false;
  readonly subscriptions = new Map<string, MemorySubscription>();
  queue: Entry[] = [];
  readonly inFlight = new Map<string, Entry>();
  /** Everything sent on the present connection. */
  received: Received[] = [];
  /** QoS 0 deliveries that the socket has not taken yet. */
  unwritten: Message[] = [];
  /** Hold QoS 0 deliveries back as a slow socket would. */
  slowSocket = false;

  constructor(clientId: string, options: Required<ConnectOptions>) {
    this.clientId = clientId;
    this.options = options;
  }

  get payloads(): string[] {
    return this.received.map(({ payload }) => payload);
  }
}

export class MemoryHost implements Host {
  /** Ids of messages that the plugin said are stored no more. */
  readonly removed: string[] = [];
  hooks!: RemoteHooks;
  /** Clients that nothing may be delivered to now. */
  readonly withoutRoom = new Set<string>();
  readonly sessions = new Map<string, MemorySession>();
  readonly retained = new Map<string, Message>();
  readonly published: Message[] = [];
  /** For each message the connected clients that were subscribed when it was routed. */
  readonly subscribed = new Map<string, Set<string>>();
  readonly #ids = new MessageIdGenerator();
  /** Shared subscriptions: members in turn, and whether the group is catching up. */
  readonly #groups = new Map<string, { members: string[]; catchingUp: boolean }>();
  readonly #replaying = new Set<string>();

  connect(clientId: string, options: ConnectOptions = {}): MemorySession {
    const full = {
      cleanStart: true,
      endsWithConnection: true,
      receiveMaximum: 10,
      queueLimit: 1000,
      maxPayload: 1_000_000,
      clientIdAssigned: false,
      ...options,
    };
    let session = this.sessions.get(clientId);
    if (session?.connected) this.disconnect(clientId);
    session = this.sessions.get(clientId);
    if (session !== undefined && full.cleanStart) {
      this.#terminate(session);
      session = undefined;
    }
    session ??= new MemorySession(clientId, full);
    session.options = full;
    this.sessions.set(clientId, session);
    session.connected = true;
    session.received = [];
    const pending = [...session.inFlight.values(), ...session.queue].map(({ message }) => message);
    const { clientIdAssigned, receiveMaximum } = full;
    const subscriptions = [...session.subscriptions.values()];
    this.hooks.clientConnected({ clientId, clientIdAssigned, receiveMaximum, subscriptions, pending });
    for (const entry of session.inFlight.values()) this.#note(session, entry, false);
    this.#drain(session);
    return session;
  }

  disconnect(clientId: string): void {
    const session = this.session(clientId);
    session.connected = false;
    session.unwritten = [];
    for (const subscription of session.subscriptions.values()) {
      subscription.catchingUp = false;
      session.queue.push(...subscription.held.splice(0));
    }
    session.queue.sort((a, b) => (a.message.id < b.message.id ? -1 : 1));
    this.hooks.clientDisconnected(clientId);
    if (session.options.endsWithConnection) this.#terminate(session);
  }

  subscribe(clientId: string, topicFilter: string, options: Partial<SubscriptionRequest> = {}): void {
    this.#subscribe(
      this.session(clientId),
      { topicFilter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, ...options },
      false,
    );
  }

  unsubscribe(clientId: string, topicFilter: string): void {
    const session = this.session(clientId);
    const subscription = session.subscriptions.get(topicFilter);
    if (subscription === undefined) return;
    session.subscriptions.delete(topicFilter);
    // What is queued already is still delivered.
    session.queue.push(...subscription.held.splice(0));
    this.#leaveGroup(topicFilter, clientId);
    this.hooks.sessionUnsubscribed(clientId, topicFilter);
    this.#drain(session);
  }

  /** Publishes, and routes the message when the plugin has taken it. */
  async publish(topic: string, payload: string, options: Partial<Message> = {}): Promise<PublishResult> {
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
    const answer = message.qos === 0 ? "pass" : this.hooks.messagePublish(message);
    const result = answer instanceof Promise ? await answer : answer;
    if (typeof result === "object") return result;
    this.published.push(message);
    if (message.retain) this.retained.set(topic, message);
    const missed = this.#route(message, result === "stored");
    if (result === "stored") this.hooks.messageRouted(message, missed);
    return result;
  }

  /** Acknowledges the oldest messages in flight. */
  ack(clientId: string, count = 1): void {
    const session = this.session(clientId);
    for (const id of [...session.inFlight.keys()].slice(0, count)) {
      const entry = session.inFlight.get(id) as Entry;
      session.inFlight.delete(id);
      this.hooks.messageAcked(clientId, entry.message);
      this.#drain(session);
    }
  }

  /** The socket takes the QoS 0 deliveries that waited. */
  write(clientId: string): void {
    const session = this.session(clientId);
    for (const message of session.unwritten.splice(0)) {
      this.hooks.messageDelivered(clientId, message, { qos: 0, retained: false });
    }
  }

  session(clientId: string): MemorySession {
    const session = this.sessions.get(clientId);
    assert.ok(session, `there is a session of ${clientId}`);
    return session;
  }

  giveIdsAbove(id: string): void {
    this.#ids.advancePast(id);
  }

  restoreSubscription(clientId: string, subscription: SubscriptionRequest): void {
    const session = this.sessions.get(clientId);
    if (!session?.connected || session.subscriptions.has(subscription.topicFilter)) return;
    this.#subscribe(session, subscription, true);
  }

  deliver(clientId: string, topicFilter: string, message: Message): DeliverResult {
    const session = this.sessions.get(clientId);
    const subscription = session?.subscriptions.get(topicFilter);
    if (!session?.connected || subscription === undefined) return "gone";
    if (message.payload.length > session.options.maxPayload) return "too_large";
    assert.ok(this.hasRoomFor(clientId), "nothing is delivered where there is no room");
    assert.ok(!session.inFlight.has(message.id), "a message in flight is not sent a second time");
    assert.ok(
      !session.queue.some((entry) => entry.message.id === message.id),
      "a message in the session's queue is not sent a second time",
    );
    while ((subscription.held[0]?.message.id ?? "~") <= message.id) {
      const entry = subscription.held.shift() as Entry;
      if (entry.message.id !== message.id) session.queue.push(entry);
    }
    this.#replaying.add(`${clientId} ${message.id}`);
    this.#take(session, { message, topicFilter, retained: false });
    return "taken";
  }

  beginCatchUp(target: ReplayTarget, holdQueue: boolean): void {
    if (target.clientId === undefined) {
      const group = this.#groups.get(target.topicFilter);
      if (group) group.catchingUp = true;
      return;
    }
    const session = this.session(target.clientId);
    const subscription = session.subscriptions.get(target.topicFilter);
    assert.ok(subscription, "only a subscription that exists catches up");
    subscription.catchingUp = true;
    if (!holdQueue) return;
    subscription.held.push(...session.queue.filter(({ topicFilter }) => topicFilter === target.topicFilter));
    session.queue = session.queue.filter(({ topicFilter }) => topicFilter !== target.topicFilter);
  }

  messagesRemoved(messages: readonly { readonly id: string }[]): void {
    for (const { id } of messages) this.removed.push(id);
  }

  goLive(target: ReplayTarget): void {
    if (target.clientId === undefined) {
      const group = this.#groups.get(target.topicFilter);
      if (group) group.catchingUp = false;
      return;
    }
    const session = this.session(target.clientId);
    const subscription = session.subscriptions.get(target.topicFilter);
    assert.ok(subscription?.catchingUp, "only what is catching up goes live");
    subscription.catchingUp = false;
    session.queue.push(...subscription.held.splice(0));
    this.#drain(session);
  }

  hasRoomFor(clientId: string): boolean {
    return !this.withoutRoom.has(clientId);
  }

  /** The client's session loses what it has of these messages, queued or in flight. */
  lose(clientId: string, ...payloads: readonly string[]): void {
    const session = this.session(clientId);
    const isLost = ({ message }: Entry): boolean => payloads.includes(Buffer.from(message.payload).toString());
    const lost = [...session.inFlight.values(), ...session.queue].filter(isLost);
    session.queue = session.queue.filter((entry) => !isLost(entry));
    for (const { message } of lost) session.inFlight.delete(message.id);
    for (const { message } of lost) this.hooks.deliveryLost(clientId, message);
  }

  isCatchingUp(clientId: string, topicFilter: string): boolean {
    return this.session(clientId).subscriptions.get(topicFilter)?.catchingUp ?? false;
  }

  #subscribe(session: MemorySession, request: SubscriptionRequest, restored: boolean): void {
    const { clientId } = session;
    const old = session.subscriptions.get(request.topicFilter);
    session.subscriptions.set(request.topicFilter, {
      ...request,
      catchingUp: old?.catchingUp ?? false,
      held: old?.held ?? [],
    });
    const shared = request.topicFilter.startsWith("$share/");
    if (shared && old === undefined) {
      const group = this.#groups.get(request.topicFilter) ?? { members: [], catchingUp: false };
      group.members.push(clientId);
      this.#groups.set(request.topicFilter, group);
    }
    const { clientIdAssigned } = session.options;
    this.hooks.sessionSubscribed({ ...request, clientId }, { isNew: old === undefined, restored, clientIdAssigned });
    if (shared) return;
    for (const message of this.retained.values()) {
      if (!topicMatches(request.topicFilter, message.topic)) continue;
      this.#take(session, { message, topicFilter: request.topicFilter, retained: true });
    }
  }

  #route(message: Message, stored: boolean): ReplayTarget[] {
    const missed: ReplayTarget[] = [];
    const subscribed = new Set<string>();
    this.subscribed.set(message.id, subscribed);
    for (const session of [...this.sessions.values()]) {
      const matching = [...session.subscriptions.values()].filter(
        ({ topicFilter, noLocal }) =>
          !topicFilter.startsWith("$share/") &&
          topicMatches(topicFilter, message.topic) &&
          !(noLocal && message.from === session.clientId),
      );
      if (session.connected && matching.length > 0) subscribed.add(session.clientId);
      const catchingUp = stored ? matching.filter((subscription) => subscription.catchingUp) : [];
      const live = matching.find((subscription) => !catchingUp.includes(subscription));
      if (live === undefined) {
        for (const { topicFilter } of catchingUp) missed.push({ clientId: session.clientId, topicFilter });
        continue;
      }
      if (live.qos === 0 && !session.connected) continue;
      if (live.qos > 0 && session.queue.length >= session.options.queueLimit) {
        if (session.connected) this.hooks.deliveryDropped(session.clientId, live.topicFilter, message, "queue_full");
        continue;
      }
      this.#take(session, { message, topicFilter: live.topicFilter, retained: false });
    }
    for (const [topicFilter, group] of this.#groups) {
      if (!topicMatches(parseTopicFilter(topicFilter).filter, message.topic)) continue;
      if (stored && group.catchingUp) {
        missed.push({ topicFilter });
        continue;
      }
      const member = group.members.find((clientId) => this.session(clientId).connected);
      if (member === undefined) continue;
      group.members.push(...group.members.splice(group.members.indexOf(member), 1));
      this.#take(this.session(member), { message, topicFilter, retained: false });
    }
    return missed;
  }

  #take(session: MemorySession, entry: Entry): void {
    const qos = this.#qos(session, entry);
    if (qos === 0) {
      this.#note(session, entry, this.#replaying.delete(`${session.clientId} ${entry.message.id}`));
      if (entry.message.qos === 0) return;
      if (entry.retained) this.hooks.messageDelivered(session.clientId, entry.message, { qos, retained: true });
      else if (session.slowSocket) session.unwritten.push(entry.message);
      else setImmediate(() => this.#written(session, entry.message));
      return;
    }
    session.queue.push(entry);
    if (!session.connected) return;
    this.hooks.messageDelivered(session.clientId, entry.message, { qos, retained: entry.retained });
    this.#drain(session);
  }

  #written(session: MemorySession, message: Message): void {
    if (session.connected) this.hooks.messageDelivered(session.clientId, message, { qos: 0, retained: false });
  }

  #drain(session: MemorySession): void {
    while (session.connected && session.queue.length > 0 && session.inFlight.size < session.options.receiveMaximum) {
      const entry = session.queue.shift() as Entry;
      session.inFlight.set(entry.message.id, entry);
      this.#note(session, entry, this.#replaying.delete(`${session.clientId} ${entry.message.id}`));
    }
  }

  #note(session: MemorySession, entry: Entry, replayed: boolean): void {
    const { id, topic, payload } = entry.message;
    session.received.push({
      id,
      topic,
      payload: Buffer.from(payload).toString(),
      qos: this.#qos(session, entry),
      retained: entry.retained,
      replayed,
    });
  }

  #qos(session: MemorySession, { message, topicFilter }: Entry): QoS {
    return Math.min(message.qos, session.subscriptions.get(topicFilter)?.qos ?? message.qos) as QoS;
  }

  #terminate(session: MemorySession): void {
    this.sessions.delete(session.clientId);
    for (const topicFilter of session.subscriptions.keys()) this.#leaveGroup(topicFilter, session.clientId);
    this.hooks.sessionTerminated(session.clientId);
  }

  #leaveGroup(topicFilter: string, clientId: string): void {
    const group = this.#groups.get(topicFilter);
    if (group === undefined) return;
    group.members = group.members.filter((member) => member !== clientId);
    if (group.members.length === 0) this.#groups.delete(topicFilter);
  }
}
