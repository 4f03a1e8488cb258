// What nodes tell of sessions, as the plugin's hooks.
//
// A session number names one client process of a node. The process that connected last is the one that counts of a client id;
// what others still say of messages counts for the client as well, since they may have spoken while the next one was announced.

import type { Logger } from "../mqtt/logger.ts";
import { RepeatedWarning } from "../mqtt/repeated-warning.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import { validateTopicFilter } from "../mqtt/topic.ts";
import type { MessageKey, RemoteHooks } from "../plugin/hooks.ts";
import type { ReplayTarget } from "../plugin/host.ts";
import { EngineOpcode } from "./engine-frames.ts";
import type { Link } from "./link.ts";
import type { LinkConnection } from "./link-connection.ts";
import {
  type ConnectedFrame,
  type DeliveredFrame,
  type DroppedFrame,
  DroppedReason,
  type GatedSubscription,
  type LostFrame,
  type MissedFrame,
  type SubscribedFrame,
} from "./node-frames.ts";
import type { Outstanding } from "./outstanding.ts";
import type { Publishes } from "./publishes.ts";
import { LinkSession, type Sessions } from "./sessions.ts";
import type { Settling } from "./settling.ts";

/** In ms. */
const LOSS_DELAY = 1000;

export interface SessionEventsParts {
  readonly sessions: Sessions;
  readonly outstanding: Outstanding;
  readonly publishes: Publishes;
  /** Undefined: nothing is stored. */
  readonly hooks: () => RemoteHooks | undefined;
  readonly settling: Settling;
  /** A subscription that nothing is replayed to goes live. */
  readonly goLive: (target: ReplayTarget) => void;
  readonly logger: Logger;
}

export class SessionEvents {
  readonly #parts: SessionEventsParts;
  readonly #ignored: RepeatedWarning;

  constructor(parts: SessionEventsParts) {
    this.#parts = parts;
    this.#ignored = new RepeatedWarning(
      parts.logger,
      "a session or subscription of EMQX is ignored: its client id or filter is no text of MQTT",
      () => Date.now(),
    );
  }

  /** Throws `LinkProtocolError` when the link has too many sessions. */
  connected(link: Link, connection: LinkConnection, frame: ConnectedFrame): void {
    const { sessions, outstanding, publishes, settling, hooks } = this.#parts;
    const { clientId, session: number } = frame;
    if (sessions.find(link, number) !== undefined) return;
    if (clientId === undefined || clientId === "") {
      this.#ignored.warn({ node: link.nodeName });
      return;
    }
    const session = new LinkSession(link, connection, frame, clientId);
    const before = sessions.current(clientId);
    if (before !== undefined && isPast(before, session, frame)) {
      sessions.addOld(session);
      return;
    }
    sessions.add(session);
    if (before !== undefined) {
      before.followedAt = publishes.lastNumber;
      before.overSince = outstanding.order;
    }
    if (before?.isConnected) hooks()?.clientDisconnected(clientId);
    if (!frame.resumed && !frame.toldAgain) {
      outstanding.forget(clientId);
      hooks()?.sessionTerminated(clientId);
    }
    sessions.take(session);
    if (frame.toldAgain) outstanding.forget(clientId);
    for (const key of frame.unacknowledged) outstanding.add(clientId, key);
    if (frame.away) {
      session.state = "away";
      outstanding.wentAway(clientId);
      return;
    }
    outstanding.cameBack(clientId);
    for (const gated of frame.subscriptions) {
      const request = this.#valid(link, gated);
      if (request !== undefined) sessions.subscribe(session, request, gated.gate);
    }
    if (frame.resumed && !frame.toldAgain) settling.begin(session);
    this.announce(session);
  }

  /** Tells the plugin of a client that is connected, with all that it has. */
  announce(session: LinkSession): void {
    const { outstanding, hooks } = this.#parts;
    const { clientId, clientIdAssigned, receiveMaximum } = session;
    const subscriptions = [...session.subscriptions.values()].map(({ request }) => request);
    const plugin = hooks();
    if (plugin === undefined) {
      for (const { topicFilter } of subscriptions) this.#parts.goLive({ clientId, topicFilter });
      return;
    }
    const pending = outstanding.of(clientId);
    plugin.clientConnected({ clientId, clientIdAssigned, receiveMaximum, subscriptions, pending });
  }

  disconnected(link: Link, number: number, livesOn: boolean): void {
    const { outstanding, sessions, publishes, hooks } = this.#parts;
    const session = sessions.find(link, number);
    if (session === undefined || !session.isConnected) return;
    const { clientId } = session;
    sessions.clearSubscriptions(session);
    session.state = "away";
    hooks()?.clientDisconnected(clientId);
    if (livesOn) {
      outstanding.wentAway(clientId);
    } else {
      outstanding.forget(clientId);
      hooks()?.sessionTerminated(clientId);
    }
    // What is numbered from now on does not count as pushed to it; what was numbered before may be on its way for long.
    session.connection.send({ opcode: EngineOpcode.Release, session: number, number: publishes.lastNumber });
  }

  ended(link: Link, number: number): void {
    const { outstanding, sessions, hooks } = this.#parts;
    const session = sessions.find(link, number);
    if (session === undefined || session.state === "old") return;
    const { clientId, isConnected } = session;
    sessions.over(session);
    if (isConnected) hooks()?.clientDisconnected(clientId);
    outstanding.forget(clientId);
    session.overSince = outstanding.order;
    hooks()?.sessionTerminated(clientId);
  }

  subscribed(link: Link, frame: SubscribedFrame): void {
    const { sessions, settling, hooks } = this.#parts;
    const session = sessions.find(link, frame.session);
    const request = this.#valid(link, frame);
    if (session === undefined || !session.isConnected || request === undefined) return;
    const { clientId, clientIdAssigned, restoring } = session;
    const { topicFilter, retainHandling } = request;
    const asked = restoring.get(topicFilter);
    restoring.delete(topicFilter);
    const restored = asked !== undefined && isSame(asked, request);
    const subscription = sessions.subscribe(session, request, frame.gate);
    if (retainHandling === 0 || (retainHandling === 1 && frame.isNew)) {
      subscription.retainedSentAt = performance.now();
    }
    const isNew = frame.isNew || subscription.isPutOff;
    subscription.isPutOff = request.qos === 0;
    const tell = (): void => {
      // It may be another one meanwhile, or none.
      if (!session.isConnected || session.subscriptions.get(topicFilter)?.request !== request) return;
      subscription.isPutOff = false;
      const plugin = hooks();
      if (plugin === undefined) this.#parts.goLive({ clientId, topicFilter });
      plugin?.sessionSubscribed({ ...request, clientId }, { isNew, restored, clientIdAssigned });
    };
    if (request.qos === 0) settling.putOff(session, topicFilter, tell);
    else tell();
  }

  unsubscribed(link: Link, number: number, topicFilter: string | undefined): void {
    const { sessions, hooks } = this.#parts;
    const session = sessions.find(link, number);
    if (session === undefined || !session.isConnected || topicFilter === undefined) return;
    session.restoring.delete(topicFilter);
    sessions.unsubscribe(session, topicFilter);
    // What is stored of a subscription that is not known here goes too.
    if (validateTopicFilter(topicFilter) === undefined) hooks()?.sessionUnsubscribed(session.clientId, topicFilter);
  }

  acked(link: Link, number: number, key: MessageKey): void {
    const { sessions, outstanding, publishes, hooks } = this.#parts;
    const session = sessions.find(link, number);
    if (session === undefined) return;
    if (session.isConnected) this.#room(session, true);
    publishes.whenAnswered(key.id, outstanding.has(session.clientId, key.id), () => {
      outstanding.acknowledge(session.clientId, key.id);
      hooks()?.messageAcked(session.clientId, { id: key.id, topic: key.topic });
    });
  }

  delivered(link: Link, { session: number, id, topic, qos, retained, replayed }: DeliveredFrame): void {
    const { sessions, outstanding, publishes, hooks } = this.#parts;
    const session = sessions.find(link, number);
    if (session === undefined) return;
    const { clientId } = session;
    publishes.whenAnswered(id, true, () => {
      // A late word of a process that another one has followed: that one may have acknowledged it already, over another connection.
      const isLate = sessions.current(clientId) !== session;
      if (qos > 0) {
        if (!isLate) outstanding.add(clientId, { id, topic });
        // One that is away holds no claim.
        if (!isLate && session.isConnected) hooks()?.messageDelivered(clientId, { id, topic }, { qos, retained });
      } else if (replayed || retained) {
        hooks()?.messageDelivered(clientId, { id, topic }, { qos, retained });
      }
      publishes.delivered(session, id);
    });
  }

  dropped(link: Link, { session: number, id, topic, reason }: DroppedFrame): void {
    const { sessions, outstanding, publishes, hooks } = this.#parts;
    const session = sessions.find(link, number);
    if (session === undefined) return;
    const { clientId } = session;
    // A late word about a message that the session after it has been given.
    if ((outstanding.orderOf(clientId, id) ?? -1) >= session.overSince) return;
    const isGate = reason === DroppedReason.GateClosed;
    // A gate has live messages only; what the replay has sent meanwhile is another matter.
    const hasIt = isGate ? outstanding.wasPushed(clientId, id) : outstanding.has(clientId, id);
    const isOfLive = isGate || reason === DroppedReason.Away;
    if (!hasIt) publishes.notPushed(id, clientId);
    if (isOfLive && !hasIt) return;
    publishes.whenAnswered(id, true, () => {
      outstanding.remove(clientId, id);
      const current = sessions.connected(clientId);
      if (current === undefined) return;
      if (reason === DroppedReason.NoLocal || reason === DroppedReason.Expired) {
        hooks()?.deliveryGivenUp(clientId, { id, topic });
        return;
      }
      if (!isGate && current === session) this.#room(session, false);
      hooks()?.deliveryLost(clientId, { id, topic });
    });
  }

  /** A session that loses what it is sent is not sent more before it acknowledges something, or a second has passed. */
  #room(session: LinkSession, hasRoom: boolean): void {
    if (session.hasRoom === hasRoom) return;
    session.hasRoom = hasRoom;
    if (hasRoom) this.#parts.hooks()?.clientHasRoom(session.clientId);
    else setTimeout(() => session.isConnected && this.#room(session, true), LOSS_DELAY).unref();
  }

  /** What the client's session has not, although it counts as having it. */
  lost(link: Link, { session: number, ids }: LostFrame): void {
    const { sessions, outstanding, settling, hooks } = this.#parts;
    const session = sessions.find(link, number);
    if (!session?.isConnected) return;
    const { clientId } = session;
    for (const id of ids) {
      const topic = outstanding.topic(clientId, id);
      if (topic === undefined) continue;
      outstanding.remove(clientId, id);
      hooks()?.deliveryLost(clientId, { id, topic });
    }
    settling.end(session);
  }

  missed(link: Link, { session: number, topicFilter, above, upTo }: MissedFrame): void {
    const { sessions, outstanding, hooks } = this.#parts;
    const session = sessions.find(link, number);
    const subscription = session?.subscriptions.get(topicFilter);
    if (session === undefined || subscription === undefined) return;
    const { clientId } = session;
    for (const key of outstanding.numbered(clientId, above, upTo)) {
      if (!subscription.matches(key.topic)) continue;
      outstanding.remove(clientId, key.id);
      hooks()?.deliveryLost(clientId, key);
    }
  }

  /**
   * All clients of the node are away. What they have unacknowledged is forgotten: acknowledgements are lost with a link, and the node tells
   * what is so when it comes back.
   */
  linkBroken(link: Link): void {
    const { sessions, outstanding, hooks } = this.#parts;
    const { counted, followed } = sessions.removeLink(link);
    for (const { clientId, wasConnected } of counted) {
      outstanding.forget(clientId);
      if (wasConnected) hooks()?.clientDisconnected(clientId);
    }
    // The last words of a process that another one has followed may be lost: acknowledgements, and what it was sent in vain.
    for (const { clientId, followedAt } of followed) {
      for (const key of outstanding.numbered(clientId, -1, followedAt)) {
        outstanding.remove(clientId, key.id);
        if (sessions.connected(clientId) !== undefined) hooks()?.deliveryLost(clientId, key);
      }
    }
  }

  #valid(link: Link, { subscription }: GatedSubscription): SubscriptionRequest | undefined {
    if (subscription !== undefined && validateTopicFilter(subscription.topicFilter) === undefined) return subscription;
    this.#ignored.warn({ node: link.nodeName });
    return undefined;
  }
}

/**
 * Whether a session is over although it is told of now: it came before the one that counts. On one node the numbers rise; of two
 * nodes the clocks have to tell, but not who has gone from who has come.
 */
function isPast(before: LinkSession, session: LinkSession, { away }: ConnectedFrame): boolean {
  if (before.link === session.link) return before.number > session.number;
  if (before.isConnected === away) return away;
  return before.connectedAt > session.connectedAt;
}

/** Whether a subscription was made as it was asked for. */
function isSame(left: SubscriptionRequest, right: SubscriptionRequest): boolean {
  return (
    left.qos === right.qos &&
    left.noLocal === right.noLocal &&
    left.retainAsPublished === right.retainAsPublished &&
    left.retainHandling === right.retainHandling &&
    left.subscriptionIdentifier === right.subscriptionIdentifier
  );
}
