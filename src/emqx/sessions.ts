// Sessions of all nodes, by number and by client id, and their subscriptions: held back or live.

import { Fifo } from "../mqtt/fifo.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import { parseTopicFilter, topicMatches } from "../mqtt/topic.ts";
import { TopicTrie } from "../mqtt/topic-trie.ts";
import type { Link } from "./link.ts";
import type { LinkConnection } from "./link-connection.ts";
import { LinkProtocolError } from "./link-error.ts";
import type { ConnectedFrame } from "./node-frames.ts";

/** Numbers that a link may have, those of old sessions among them. */
const MAX_SESSIONS = 1_000_000;
/** How long the number of a session that is over is known, in ms. */
const MEMORY = 60_000;
/** More in flight would reach the limits of EMQX's mailboxes. */
const MAX_IN_FLIGHT = 100;

/** One subscription of a connected session. */
export class SessionSubscription {
  readonly session: LinkSession;
  request: SubscriptionRequest;
  /** The number under which the node holds live messages back; 0: it does not. */
  gate: number;
  /** LIVE was sent for the gate. */
  isLive = false;
  /** The plugin is yet to be told of it. */
  isPutOff = false;
  /** It has caught up, and goes live when its session has settled. */
  wantsLive = false;
  /** When retained messages were sent for it last, in ms as `performance.now` has it. */
  retainedSentAt = Number.NEGATIVE_INFINITY;

  constructor(session: LinkSession, request: SubscriptionRequest, gate: number) {
    this.session = session;
    this.request = request;
    this.gate = gate;
  }

  matches(topic: string): boolean {
    return topicMatches(parseTopicFilter(this.request.topicFilter).filter, topic);
  }

  /** Live messages are held back and left to the replay. */
  get isHeld(): boolean {
    return this.gate !== 0 && !this.isLive;
  }
}

/** One process of a client in EMQX. */
export class LinkSession {
  readonly link: Link;
  /** Where its frames come from and go to. */
  readonly connection: LinkConnection;
  readonly number: number;
  readonly clientId: string;
  readonly clientIdAssigned: boolean;
  readonly protocolVersion: 3 | 4 | 5;
  readonly receiveMaximum: number;
  /** 0: none. */
  readonly maximumPacketSize: number;
  readonly connectedAt: number;
  /** When it was told of, in ms as `performance.now` has it. */
  readonly since = performance.now();
  /** `old`: another process has the client id, or it has ended. */
  state: "connected" | "away" | "old" = "connected";
  /** The last number that was given when another process followed; 0: none has. */
  followedAt = 0;
  /** Order (of `Outstanding`) from which on what its client has is not this session's: it was over, or another one followed. */
  overSince = Number.POSITIVE_INFINITY;
  /** It was asked what it has of what the process before it was sent. */
  isSettling = false;
  /** It does not lose what it is sent. */
  hasRoom = true;
  readonly subscriptions = new Map<string, SessionSubscription>();
  /** What the node was asked to restore and has not told of yet. */
  readonly restoring = new Map<string, SubscriptionRequest>();

  constructor(link: Link, connection: LinkConnection, frame: ConnectedFrame, clientId: string) {
    this.link = link;
    this.connection = connection;
    this.number = frame.session;
    this.clientId = clientId;
    this.clientIdAssigned = frame.clientIdAssigned;
    this.protocolVersion = frame.protocolVersion;
    this.receiveMaximum = Math.min(Math.max(frame.receiveMaximum, 1), MAX_IN_FLIGHT);
    this.maximumPacketSize = frame.maximumPacketSize;
    this.connectedAt = frame.connectedAt;
  }

  get isConnected(): boolean {
    return this.state === "connected";
  }
}

/** A shared subscription with its connected members. */
export interface SharedGroup {
  readonly topicFilter: string;
  readonly filter: string;
  readonly members: Set<LinkSession>;
  /** The plugin replays to it. */
  catchingUp: boolean;
}

interface RemovedSessions {
  readonly counted: { readonly clientId: string; readonly wasConnected: boolean }[];
  readonly followed: LinkSession[];
}

export class Sessions {
  /** Of each link by number, those that are over for up to a minute. */
  readonly #byNumber = new Map<Link, Map<number, LinkSession>>();
  /** Those that count: connected, or away with a session that lives on. */
  readonly #byClient = new Map<string, LinkSession>();
  readonly #plain = new TopicTrie<SessionSubscription>();
  readonly #shared = new TopicTrie<SharedGroup>();
  readonly #groups = new Map<string, SharedGroup>();
  readonly #over = new Fifo<{ readonly session: LinkSession; readonly at: number }>();
  readonly #maxSessions: number;

  constructor(maxSessions = MAX_SESSIONS) {
    this.#maxSessions = maxSessions;
  }

  get size(): number {
    return this.#byClient.size;
  }

  /** The session of this number; it may be over. */
  find(link: Link, number: number): LinkSession | undefined {
    return this.#byNumber.get(link)?.get(number);
  }

  /** The client's session that counts. */
  current(clientId: string): LinkSession | undefined {
    return this.#byClient.get(clientId);
  }

  connected(clientId: string): LinkSession | undefined {
    const session = this.#byClient.get(clientId);
    return session?.isConnected ? session : undefined;
  }

  *allConnected(): Generator<LinkSession> {
    for (const session of this.#byClient.values()) if (session.isConnected) yield session;
  }

  /** Adds a number; the session counts once `take` is called. Throws `LinkProtocolError` when the link has too many. */
  add(session: LinkSession): void {
    this.#forgetOld();
    let numbers = this.#byNumber.get(session.link);
    if (numbers === undefined) {
      numbers = new Map();
      this.#byNumber.set(session.link, numbers);
    }
    if (numbers.size >= this.#maxSessions) {
      throw new LinkProtocolError(`the node tells of more than ${this.#maxSessions} sessions`);
    }
    numbers.set(session.number, session);
  }

  /** The session is now the one that counts of its client; another one is over. */
  take(session: LinkSession): void {
    const before = this.#byClient.get(session.clientId);
    if (before !== undefined && before !== session) this.over(before);
    this.#byClient.set(session.clientId, session);
  }

  /** It is over, but what it still says of messages counts for its client. */
  over(session: LinkSession): void {
    this.clearSubscriptions(session);
    if (this.#byClient.get(session.clientId) === session) this.#byClient.delete(session.clientId);
    if (session.state === "old") return;
    session.state = "old";
    this.#over.push({ session, at: performance.now() });
  }

  /** Adds a number that does not count from the start. */
  addOld(session: LinkSession): void {
    this.add(session);
    this.over(session);
  }

  /** Takes out all sessions of a link; returns those that counted of their client, and those that others have followed. */
  removeLink(link: Link): RemovedSessions {
    const counted: RemovedSessions["counted"] = [];
    const followed: LinkSession[] = [];
    for (const session of this.#byNumber.get(link)?.values() ?? []) {
      const { clientId, isConnected: wasConnected } = session;
      this.clearSubscriptions(session);
      session.state = "old";
      if (this.#byClient.get(clientId) === session) {
        this.#byClient.delete(clientId);
        counted.push({ clientId, wasConnected });
      } else if (session.followedAt > 0) {
        followed.push(session);
      }
    }
    this.#byNumber.delete(link);
    return { counted, followed };
  }

  /** Makes a subscription, or gives one that is there its new options and gate. */
  subscribe(session: LinkSession, request: SubscriptionRequest, gate: number): SessionSubscription {
    const { topicFilter } = request;
    const existing = session.subscriptions.get(topicFilter);
    if (existing !== undefined) {
      existing.request = request;
      if (existing.gate !== gate) {
        existing.gate = gate;
        existing.isLive = false;
      }
      return existing;
    }
    const subscription = new SessionSubscription(session, request, gate);
    session.subscriptions.set(topicFilter, subscription);
    const { shareName, filter } = parseTopicFilter(topicFilter);
    if (shareName === undefined) {
      this.#plain.add(filter, subscription);
      return subscription;
    }
    let group = this.#groups.get(topicFilter);
    if (group === undefined) {
      group = { topicFilter, filter, members: new Set(), catchingUp: false };
      this.#groups.set(topicFilter, group);
      this.#shared.add(filter, group);
    }
    group.members.add(session);
    return subscription;
  }

  /** Returns whether it was there. */
  unsubscribe(session: LinkSession, topicFilter: string): boolean {
    const subscription = session.subscriptions.get(topicFilter);
    if (subscription === undefined) return false;
    session.subscriptions.delete(topicFilter);
    const { shareName, filter } = parseTopicFilter(topicFilter);
    if (shareName === undefined) {
      this.#plain.delete(filter, subscription);
      return true;
    }
    const group = this.#groups.get(topicFilter);
    group?.members.delete(session);
    if (group?.members.size === 0) {
      this.#groups.delete(topicFilter);
      this.#shared.delete(group.filter, group);
    }
    return true;
  }

  clearSubscriptions(session: LinkSession): void {
    for (const topicFilter of [...session.subscriptions.keys()]) this.unsubscribe(session, topicFilter);
    session.restoring.clear();
  }

  group(topicFilter: string): SharedGroup | undefined {
    return this.#groups.get(topicFilter);
  }

  get groups(): Iterable<SharedGroup> {
    return this.#groups.values();
  }

  /** Calls back for each subscription of a client's own that matches, of connected sessions. */
  match(topic: string, visit: (subscription: SessionSubscription) => void): void {
    if (this.#plain.size > 0) this.#plain.match(topic, visit);
  }

  /** The shared subscriptions that match and have a connected member. */
  matchingGroups(topic: string): SharedGroup[] {
    const groups: SharedGroup[] = [];
    if (this.#shared.size > 0) this.#shared.match(topic, (group) => groups.push(group));
    return groups;
  }

  #forgetOld(): void {
    const until = performance.now() - MEMORY;
    for (let first = this.#over.peek(); first !== undefined && first.at < until; first = this.#over.peek()) {
      this.#over.shift();
      const { link, number } = first.session;
      const numbers = this.#byNumber.get(link);
      if (numbers?.get(number) === first.session) numbers.delete(number);
    }
  }
}
