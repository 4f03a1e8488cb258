// EMQX as the plugin's Host: stored messages to its clients, subscriptions put back, and what nodes tell to the hooks.

import type { Logger } from "../mqtt/logger.ts";
import type { Message } from "../mqtt/message.ts";
import { type MessageId, timestampOf } from "../mqtt/message-id.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import type { Refusal, RemoteHooks } from "../plugin/hooks.ts";
import type { DeliverResult, Host, ReplayTarget } from "../plugin/host.ts";
import { DeliveryCheck } from "./delivery-check.ts";
import { EngineOpcode } from "./engine-frames.ts";
import type { Link, LinkListener } from "./link.ts";
import type { LinkConnection } from "./link-connection.ts";
import { type ConfigureFrame, type NodeFrame, NodeOpcode } from "./node-frames.ts";
import { Outstanding } from "./outstanding.ts";
import { fits, fitsFrame } from "./packet-size.ts";
import { Publishes } from "./publishes.ts";
import { SessionEvents } from "./session-events.ts";
import { type SessionSubscription, Sessions } from "./sessions.ts";
import { Settling } from "./settling.ts";

/** A message that has RETAIN may be on its way as a retained one for so long after a SUBSCRIBE, in ms. */
const RETAINED_SENDING = 2000;

export interface EmqxHostParts {
  readonly logger: Logger;
  /** In bytes. */
  readonly longestFrame: number;
  /** A node has sent its configuration. */
  readonly configure: (link: Link, frame: ConfigureFrame) => void;
  /** Of `DeliveryCheck`, in ms. */
  readonly checkInterval?: number;
  /** Of `Settling`, in ms. */
  readonly settlingPatience?: number;
  /** The links that are whole have changed. */
  readonly linksChanged?: () => void;
}

export class EmqxHost implements Host, LinkListener {
  /** What a publisher without reason codes gets for a message that does not get as far as the plugin. */
  onUnstorable: Refusal["onUnstorable"] = "close";
  readonly sessions = new Sessions();
  readonly outstanding = new Outstanding();
  readonly publishes: Publishes;
  readonly #events: SessionEvents;
  readonly #check: DeliveryCheck;
  readonly #settling: Settling;
  readonly #parts: EmqxHostParts;
  readonly #links = new Set<Link>();
  #hooks: RemoteHooks | undefined;
  #warnedOfIds = false;

  constructor(parts: EmqxHostParts) {
    const { sessions, outstanding } = this;
    const { longestFrame } = parts;
    const hooks = (): RemoteHooks | undefined => this.#hooks;
    this.#parts = parts;
    this.publishes = new Publishes({
      sessions,
      outstanding,
      hooks,
      onUnstorable: () => this.onUnstorable,
      longestFrame,
    });
    this.#settling = new Settling({
      outstanding,
      patience: parts.settlingPatience,
      goLive: (target) => this.goLive(target),
      hasRoom: (clientId) => hooks()?.clientHasRoom(clientId),
    });
    this.#events = new SessionEvents({
      sessions,
      outstanding,
      publishes: this.publishes,
      settling: this.#settling,
      hooks,
      goLive: (target) => this.goLive(target),
      logger: parts.logger,
    });
    this.#check = new DeliveryCheck({ sessions, outstanding, interval: parts.checkInterval });
  }

  /** Links that are whole. */
  get links(): ReadonlySet<Link> {
    return this.#links;
  }

  /** From now on these hear of everything; first of the clients that are here, as if they had just come back. Undefined: nothing is stored. */
  attachHooks(hooks: RemoteHooks | undefined): void {
    this.#hooks = hooks;
    for (const group of this.sessions.groups) group.catchingUp = false;
    for (const session of [...this.sessions.allConnected()]) this.#events.announce(session);
  }

  /** No hook is called any more, and nothing answers. */
  stop(): void {
    this.#hooks = undefined;
    this.#check.stop();
    this.#settling.stop();
    this.publishes.stop();
  }

  whole(link: Link): void {
    this.#links.add(link);
    this.#parts.linksChanged?.();
  }

  frame(link: Link, connection: LinkConnection, frame: NodeFrame): void {
    switch (frame.opcode) {
      case NodeOpcode.Publish:
        this.publishes.publish(link, connection, frame);
        break;
      case NodeOpcode.Acked:
        this.#events.acked(link, frame.session, frame);
        break;
      case NodeOpcode.Delivered:
        this.#events.delivered(link, frame);
        break;
      case NodeOpcode.Dropped:
        this.#events.dropped(link, frame);
        break;
      case NodeOpcode.Connected:
        this.#events.connected(link, connection, frame);
        break;
      case NodeOpcode.Disconnected:
        this.#events.disconnected(link, frame.session, frame.livesOn);
        break;
      case NodeOpcode.Ended:
        this.#events.ended(link, frame.session);
        break;
      case NodeOpcode.Subscribed:
        this.#events.subscribed(link, frame);
        break;
      case NodeOpcode.Unsubscribed:
        this.#events.unsubscribed(link, frame.session, frame.topicFilter);
        break;
      case NodeOpcode.Missed:
        this.#events.missed(link, frame);
        break;
      case NodeOpcode.Lost:
        this.#events.lost(link, frame);
        break;
      case NodeOpcode.NotRouted:
        this.publishes.notRouted({ id: frame.id, topic: frame.topic });
        break;
      case NodeOpcode.Configure:
        this.#parts.configure(link, frame);
        break;
      case NodeOpcode.Ping:
        this.publishes.confirm(connection, frame.answers);
        break;
    }
  }

  hasRoomAgain(_link: Link, connection: LinkConnection): void {
    for (const session of this.sessions.allConnected()) {
      if (session.connection === connection) this.#hooks?.clientHasRoom(session.clientId);
    }
  }

  broken(link: Link): void {
    this.#events.linkBroken(link);
    this.publishes.linkBroken(link);
    if (this.#links.delete(link)) this.#parts.linksChanged?.();
  }

  /** EMQX gives the ids; one that is later than now shows that a clock goes wrong. */
  giveIdsAbove(id: MessageId): void {
    if (this.#warnedOfIds || timestampOf(id) <= BigInt(Date.now()) * 1000n) return;
    this.#warnedOfIds = true;
    this.#parts.logger.warn(
      { id },
      "the store has a message whose id is later than now: see to the clocks of EMQX and the engine",
    );
  }

  restoreSubscription(clientId: string, subscription: SubscriptionRequest): void {
    const session = this.sessions.connected(clientId);
    if (session === undefined || session.subscriptions.has(subscription.topicFilter)) return;
    session.restoring.set(subscription.topicFilter, subscription);
    session.connection.send({ opcode: EngineOpcode.Restore, session: session.number, subscription });
  }

  deliver(clientId: string, topicFilter: string, message: Message): DeliverResult {
    const session = this.sessions.connected(clientId);
    const subscription = session?.subscriptions.get(topicFilter);
    if (session === undefined || subscription === undefined) return "gone";
    const { qos: most, subscriptionIdentifier } = subscription.request;
    const qos = message.qos < most ? message.qos : most;
    const now = Date.now();
    if (!fitsFrame(message, Buffer.byteLength(topicFilter), this.#parts.longestFrame)) return "too_large";
    if (!fits(session, message, qos, subscriptionIdentifier, now)) return "too_large";
    session.connection.send({
      opcode: EngineOpcode.Deliver,
      session: session.number,
      topicFilter,
      mayBeRetained: message.retain && mayBeSentRetained(subscription),
      message,
      now,
    });
    if (qos > 0) {
      this.outstanding.add(clientId, message);
      this.#hooks?.messageDelivered(clientId, message, { qos, retained: false });
    }
    return "taken";
  }

  hasRoomFor(clientId: string): boolean {
    const session = this.sessions.connected(clientId);
    if (session === undefined) return true;
    // What a resumed session has not got comes before what it was not sent yet.
    return session.hasRoom && !session.isSettling && session.connection.hasRoom;
  }

  beginCatchUp({ clientId, topicFilter }: ReplayTarget): void {
    // What a client's own subscription is held back from is told by its node, which closes a gate before it tells of the subscription.
    if (clientId !== undefined) {
      const subscription = this.sessions.connected(clientId)?.subscriptions.get(topicFilter);
      if (subscription !== undefined) subscription.wantsLive = false;
      return;
    }
    const group = this.sessions.group(topicFilter);
    if (group !== undefined) group.catchingUp = true;
  }

  goLive({ clientId, topicFilter }: ReplayTarget): void {
    if (clientId === undefined) {
      const group = this.sessions.group(topicFilter);
      if (group !== undefined) group.catchingUp = false;
      return;
    }
    const subscription = this.sessions.connected(clientId)?.subscriptions.get(topicFilter);
    if (subscription === undefined || !subscription.isHeld) return;
    const { session, gate } = subscription;
    subscription.wantsLive = session.isSettling;
    if (session.isSettling) return;
    subscription.isLive = true;
    session.connection.send({
      opcode: EngineOpcode.Live,
      session: session.number,
      topicFilter,
      gate,
      number: this.publishes.lastNumber,
    });
  }

  messagesRemoved(): void {
    // EMQX keeps nothing by the message's id.
  }
}

function mayBeSentRetained({ retainedSentAt, request }: SessionSubscription): boolean {
  return !request.topicFilter.startsWith("$share/") && performance.now() - retainedSentAt < RETAINED_SENDING;
}
