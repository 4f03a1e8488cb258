// PUBLISH to the plugin and back: numbers, answers, who is pushed a stored message and who has missed it.
//
// In the turn of the event loop in which the plugin says that a message is stored, it gets the next number, and for every
// subscription that is known it is decided whether EMQX pushes the message to it: not to one that is held back, and not yet
// to a session that says it has not had it. From then on the number alone decides (docs/emqx-link.md).

import type { Message } from "../mqtt/message.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import { detachPayload } from "../mqtt/payload.ts";
import { ReasonCode } from "../mqtt/reason-code.ts";
import { RefusalDelays } from "../mqtt/refusal-delays.ts";
import type { MessageKey, PublishResult, Refusal, RemoteHooks } from "../plugin/hooks.ts";
import type { ReplayTarget } from "../plugin/host.ts";
import { EarlyWordsMemory } from "./early-words.ts";
import type { Link } from "./link.ts";
import type { LinkConnection } from "./link-connection.ts";
import type { PublishFrame } from "./node-frames.ts";
import type { Outstanding } from "./outstanding.ts";
import { fits, fitsFrame } from "./packet-size.ts";
import type { LinkSession, SessionSubscription, Sessions, SharedGroup } from "./sessions.ts";
import { Unconfirmed } from "./unconfirmed.ts";

/** Numbers in a millisecond: they rise across restarts of the engine as long as fewer are given. */
const NUMBERS_PER_MS = 1024;
/** How long a shared subscription that catches up waits for the word who was pushed a message, in ms. */
const SHARED_PATIENCE = 1000;

/** A message whose PUBLISH is not answered yet. */
interface Underway {
  /** `publish_ack = "async"`: it was routed when it came, to these. Absent: it is routed when it is answered. */
  readonly routedTo?: ReadonlySet<SessionSubscription>;
  /** Clients that have said that they are not sent it. */
  readonly notPushed: Set<string>;
  /** What sessions said of it already. */
  readonly later: (() => void)[];
}

/** A stored message of which it is not known yet which members of shared subscriptions are pushed it. */
interface Waiting {
  readonly message: Message;
  readonly missed: readonly ReplayTarget[];
  readonly groups: Set<SharedGroup>;
  readonly timer: NodeJS.Timeout;
}

export interface PublishesParts {
  readonly sessions: Sessions;
  readonly outstanding: Outstanding;
  /** Undefined: nothing is stored. */
  readonly hooks: () => RemoteHooks | undefined;
  /** `on_unstorable`, for what does not get as far as the plugin. */
  readonly onUnstorable: () => Refusal["onUnstorable"];
  /** In bytes. */
  readonly longestFrame: number;
  /** Ms since the epoch. */
  readonly now?: () => number;
}

export class Publishes {
  readonly #parts: PublishesParts;
  readonly #delays = new RefusalDelays();
  readonly #underway = new Map<MessageId, Underway>();
  readonly #waiting = new Map<MessageId, Waiting>();
  readonly #early = new EarlyWordsMemory();
  readonly #unconfirmed = new WeakMap<LinkConnection, Unconfirmed>();
  readonly #connections = new Map<Link, Set<LinkConnection>>();
  #number: number;

  constructor(parts: PublishesParts) {
    this.#parts = parts;
    this.#number = (parts.now ?? Date.now)() * NUMBERS_PER_MS;
  }

  /** The last number that was given. */
  get lastNumber(): number {
    return this.#number;
  }

  /** What is held here, for tests. */
  get memory(): { readonly underway: number; readonly waiting: number } {
    return { underway: this.#underway.size, waiting: this.#waiting.size };
  }

  publish(link: Link, connection: LinkConnection, frame: PublishFrame): void {
    const { message, isText } = frame;
    if (!isText) {
      // EMQX lets topics through that are no UTF-8; nothing can store these.
      const problem = "A text of the message is no UTF-8.";
      const refusal = unstorable(this.#parts.onUnstorable(), ReasonCode.TopicNameInvalid, problem);
      this.#answer(link, connection, frame, refusal);
      return;
    }
    // A filter that matches has at most a "+" and a "/" for each byte of the topic, and "/#".
    if (!fitsFrame(message, 2 * Buffer.byteLength(message.topic) + 3, this.#parts.longestFrame)) {
      // It would be stored, and no frame could bring it to anybody.
      const problem = "The message is too long for the link to EMQX.";
      this.#answer(link, connection, frame, unstorable(this.#parts.onUnstorable(), ReasonCode.QuotaExceeded, problem));
      return;
    }
    const routedTo = frame.routed ? new Set(this.#subscribers(message).live) : undefined;
    const early = frame.routed ? this.#early.take(message.id) : undefined;
    const underway: Underway = { routedTo, notPushed: early?.notPushed ?? new Set(), later: early?.later ?? [] };
    this.#underway.set(message.id, underway);
    const result = this.#parts.hooks()?.messagePublish(message) ?? "pass";
    if (!(result instanceof Promise)) {
      this.#settled(link, connection, frame, underway, result);
      return;
    }
    void result.then((settled) => this.#settled(link, connection, frame, underway, settled));
  }

  /**
   * Runs what a session says of a message now, or once its PUBLISH is answered. `isKnown`: the client counts as having it. If not, the PUBLISH
   * may be yet to come: then it runs once more.
   */
  whenAnswered(id: MessageId, isKnown: boolean, run: () => void): void {
    const underway = this.#underway.get(id);
    if (underway !== undefined) {
      underway.later.push(run);
      return;
    }
    run();
    if (!isKnown) this.#early.addLater(id, run);
  }

  /** The client, which does not count as having it, is not sent the message: by its gate, or because it is away. */
  notPushed(id: MessageId, clientId: string): void {
    const underway = this.#underway.get(id);
    if (underway !== undefined) underway.notPushed.add(clientId);
    else this.#early.addNotPushed(id, clientId);
  }

  /** A session was pushed a stored message: its shared subscriptions know now who has it. */
  delivered(session: LinkSession, id: MessageId): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    for (const group of waiting.groups) if (group.members.has(session)) waiting.groups.delete(group);
    if (waiting.groups.size === 0) this.#routed(waiting);
  }

  /** The node has not routed a message although it is stored: nobody has it. */
  notRouted({ id, topic }: MessageKey): void {
    const waiting = this.#waiting.get(id);
    if (waiting !== undefined) this.#routed(waiting);
    for (const clientId of this.#holders({ id, topic })) this.#parts.hooks()?.deliveryLost(clientId, { id, topic });
  }

  /** The node has handled so many answers. Throws `LinkProtocolError`. */
  confirm(connection: LinkConnection, answers: number): void {
    const unconfirmed = this.#unconfirmed.get(connection);
    if (unconfirmed !== undefined || answers > 0) (unconfirmed ?? new Unconfirmed()).confirm(answers);
  }

  /** The link is broken, and its sessions are gone: what may not have been routed is taken from whoever else counts as having it. */
  linkBroken(link: Link): void {
    const { outstanding, hooks } = this.#parts;
    for (const connection of this.#connections.get(link) ?? []) {
      for (const { key, clientIds } of this.#unconfirmed.get(connection)?.all ?? []) {
        for (const clientId of clientIds) {
          if (outstanding.remove(clientId, key.id)) hooks()?.deliveryLost(clientId, key);
        }
      }
    }
    this.#connections.delete(link);
  }

  stop(): void {
    for (const { timer } of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
  }

  /** Takes the message from all connected clients that count as having it; returns these. */
  #holders({ id, topic }: MessageKey): Set<string> {
    const { sessions, outstanding } = this.#parts;
    const holders = new Set<string>();
    sessions.match(topic, ({ session: { clientId } }) => {
      if (outstanding.remove(clientId, id)) holders.add(clientId);
    });
    return holders;
  }

  #settled(link: Link, connection: LinkConnection, frame: PublishFrame, underway: Underway, result: PublishResult) {
    const { message } = frame;
    if (this.#underway.get(message.id) === underway) this.#underway.delete(message.id);
    if (result === "stored") {
      if (link.isBroken) this.#storedForNobody(message);
      else this.#stored(link, connection, frame, underway);
    } else {
      this.#answer(link, connection, frame, result);
    }
    for (const run of underway.later) run();
  }

  #stored(link: Link, connection: LinkConnection, frame: PublishFrame, underway: Underway): void {
    const { request, routed, message } = frame;
    const { routedTo, notPushed } = underway;
    const { sessions } = this.#parts;
    const { id, topic } = message;
    const key = { id, topic };
    this.#number += 1;
    const number = this.#number;
    this.#delays.reset(message.from);
    const { missed, live } = this.#subscribers(message);
    const left: string[] = [];
    const pushed: string[] = [];
    for (const subscription of live) {
      const { clientId } = subscription.session;
      const wasPushed = !notPushed.has(clientId) && (routedTo === undefined || routedTo.has(subscription));
      if (!wasPushed) left.push(clientId);
      else if (this.#pushed(clientId, key, number, subscription)) pushed.push(clientId);
    }
    if (missed.length > 0) detachPayload(message);
    const groups = sessions.matchingGroups(topic);
    const unknown = routed ? [] : groups.filter(({ catchingUp }) => catchingUp);
    if (unknown.length === 0) this.#tellRouted(message, missed);
    else this.#wait(message, missed, unknown);
    for (const clientId of left) this.#parts.hooks()?.deliveryLost(clientId, key);
    this.#confirmable(link, connection).answered(key, pushed);
    connection.answer({ request, result: "stored", number, reportDeliveries: groups.length > 0 });
  }

  /**
   * Who has missed the message, and one subscription of each client that is pushed it. A client that is pushed it has not missed it. At
   * QoS 0 nothing is counted, nor what is larger than the client takes.
   */
  #subscribers(message: Message): { missed: ReplayTarget[]; live: SessionSubscription[] } {
    const { topic, from } = message;
    const now = (this.#parts.now ?? Date.now)();
    const held: SessionSubscription[] = [];
    const live = new Map<string, SessionSubscription>();
    this.#parts.sessions.match(topic, (subscription) => {
      const { session, request } = subscription;
      if (request.noLocal && from === session.clientId) return;
      if (subscription.isHeld) held.push(subscription);
      else if (request.qos > 0 && isPushed(subscription, message, now)) live.set(session.clientId, subscription);
    });
    const missed = held
      .filter(({ session }) => !live.has(session.clientId))
      .map(({ session, request }) => ({ clientId: session.clientId, topicFilter: request.topicFilter }));
    return { missed, live: [...live.values()] };
  }

  /** Returns whether it is noted. At the bound it is not known that the client has it: a second copy is possible, a loss is not. */
  #pushed(clientId: string, key: MessageKey, number: number, { request }: SessionSubscription): boolean {
    if (!this.#parts.outstanding.add(clientId, key, number)) return false;
    const qos = request.qos === 2 ? 2 : 1;
    this.#parts.hooks()?.messageDelivered(clientId, key, { qos, retained: false });
    return true;
  }

  /** It is stored, and its publisher was not told: nobody is pushed it. */
  #storedForNobody(message: Message): void {
    const hooks = this.#parts.hooks();
    const { missed, live } = this.#subscribers(message);
    detachPayload(message);
    hooks?.messageRouted(message, missed);
    for (const { session } of live) hooks?.deliveryLost(session.clientId, message);
  }

  #wait(message: Message, missed: readonly ReplayTarget[], groups: readonly SharedGroup[]): void {
    detachPayload(message);
    const timer = setTimeout(() => this.#routed(waiting), SHARED_PATIENCE).unref();
    const waiting: Waiting = { message, missed, groups: new Set(groups), timer };
    this.#waiting.set(message.id, waiting);
  }

  #routed({ message, missed, timer }: Waiting): void {
    clearTimeout(timer);
    if (!this.#waiting.delete(message.id)) return;
    this.#tellRouted(message, missed);
  }

  #tellRouted(message: Message, missed: readonly ReplayTarget[]): void {
    const hooks = this.#parts.hooks();
    hooks?.messageRouted(message, missed);
    // To the plugin, whoever has caught up meanwhile had missed nothing.
    for (const { clientId, topicFilter } of missed) {
      const subscription = this.#parts.sessions.connected(clientId ?? "")?.subscriptions.get(topicFilter);
      if (subscription !== undefined && (!subscription.isHeld || subscription.wantsLive)) {
        hooks?.deliveryDropped(subscription.session.clientId, topicFilter, message, "queue_full");
      }
    }
  }

  #answer(link: Link, connection: LinkConnection, { request, message }: PublishFrame, result: "pass" | Refusal): void {
    if (link.isBroken) return;
    this.#confirmable(link, connection).answered();
    if (result === "pass") {
      connection.answer({ request, result });
      return;
    }
    const { temporary, onUnstorable, reasonCode } = result;
    connection.answer({
      request,
      result: "refused",
      temporary,
      acknowledge: !temporary && onUnstorable === "acknowledge",
      reasonCode,
      delay: this.#delay(message, result),
    });
  }

  /** In ms. Publishers with reason codes are told at once. */
  #delay({ from, qos }: Message, { delayClose }: Refusal): number {
    if (!delayClose) return 0;
    const hasReasonCodes = qos === 1 && this.#parts.sessions.connected(from)?.protocolVersion === 5;
    return hasReasonCodes ? 0 : this.#delays.next(from) * 1000;
  }

  #confirmable(link: Link, connection: LinkConnection): Unconfirmed {
    let unconfirmed = this.#unconfirmed.get(connection);
    if (unconfirmed === undefined) {
      unconfirmed = new Unconfirmed();
      this.#unconfirmed.set(connection, unconfirmed);
      const connections = this.#connections.get(link) ?? new Set();
      this.#connections.set(link, connections.add(connection));
    }
    return unconfirmed;
  }
}

/** EMQX discards what is over the client's Maximum Packet Size without a word: the client does not have it. */
function isPushed({ session, request }: SessionSubscription, message: Message, now: number): boolean {
  const qos = message.qos < request.qos ? message.qos : request.qos;
  return fits(session, message, qos, request.subscriptionIdentifier, now);
}

/** What does not get as far as the plugin, and never will. */
function unstorable(onUnstorable: Refusal["onUnstorable"], reasonCode: ReasonCode, reasonString: string): Refusal {
  return { temporary: false, delayClose: true, onUnstorable, reasonCode, reasonString };
}
