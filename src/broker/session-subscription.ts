// One subscription of one session, and the shared subscriptions that sessions are members of.
//
// CATCHING UP. A subscription (or a shared subscription as a whole) catches up when the plugin sends it stored messages.
// While the flag is on, the router does not push messages that are stored anyway. What waited in the session's queue for
// the subscription may be `held` (catch-up.ts): it goes out, merged by message id, between the messages that the plugin
// delivers. The flag goes off with `goLive`, with the client's connection, and for a shared subscription when no
// member is connected any more.

import type { Message, QoS } from "../mqtt/message.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import { parseTopicFilter } from "../mqtt/topic.ts";
import type { ReplayTarget } from "../plugin/host.ts";
import type { Delivery, OfferResult } from "./delivery.ts";
import type { SubscriptionRow } from "./persistence/rows.ts";
import type { Session } from "./session.ts";

/** What both kinds have in common for a replay. */
export interface CatchUpState {
  readonly target: ReplayTarget;
  catchingUp: boolean;
  /** Taken out of the session's queue, in the order of message ids. */
  held: Delivery[];
  /** One session, or those of all members. */
  readonly sessions: readonly Session[];
}

export class SessionSubscription implements CatchUpState {
  readonly session: Session;
  request: SubscriptionRequest;
  /** The Topic Filter without `$share/{ShareName}/`. */
  readonly filter: string;
  /** The shared subscription that this is the membership of. */
  readonly group: SharedSubscription | undefined;
  readonly target: ReplayTarget;
  /** Where it is kept in broker.db, if it is. */
  saved: SubscriptionRow | undefined;
  catchingUp = false;
  held: Delivery[] = [];

  constructor(session: Session, request: SubscriptionRequest, group?: SharedSubscription) {
    this.session = session;
    this.request = request;
    this.filter = group?.filter ?? request.topicFilter;
    this.group = group;
    this.target = { clientId: session.clientId, topicFilter: request.topicFilter };
  }

  get sessions(): readonly Session[] {
    return [this.session];
  }

  /** Where the state of a replay is kept. */
  get catchUp(): CatchUpState {
    return this.group ?? this;
  }

  get identifiers(): readonly number[] | undefined {
    const { subscriptionIdentifier } = this.request;
    return subscriptionIdentifier === undefined ? undefined : [subscriptionIdentifier];
  }

  /** The delivery of a message to this subscription alone, as its options say or others that it had before. */
  deliveryOf(message: Message, stored: boolean, { qos, retainAsPublished } = this.request): Delivery {
    return {
      message,
      qos: Math.min(message.qos, qos) as QoS,
      retain: retainAsPublished && message.retain,
      subscriptionIdentifiers: this.identifiers,
      subscription: this,
      stored,
      retained: false,
      saved: undefined,
    };
  }
}

export class SharedSubscription implements CatchUpState {
  /** `$share/{ShareName}/{filter}`. */
  readonly topicFilter: string;
  readonly filter: string;
  readonly target: ReplayTarget;
  catchingUp = false;
  held: Delivery[] = [];
  readonly #members: SessionSubscription[] = [];
  /** Index of the member whose turn it is. */
  #turn = 0;

  constructor(topicFilter: string) {
    this.topicFilter = topicFilter;
    this.filter = parseTopicFilter(topicFilter).filter;
    this.target = { topicFilter };
  }

  get members(): readonly SessionSubscription[] {
    return this.#members;
  }

  get sessions(): readonly Session[] {
    return this.#members.map((member) => member.session);
  }

  get hasConnectedMember(): boolean {
    return this.#members.some((member) => member.session.isConnected);
  }

  add(member: SessionSubscription): void {
    this.#members.push(member);
  }

  remove(member: SessionSubscription): void {
    const at = this.#members.indexOf(member);
    if (at < 0) return;
    this.#members.splice(at, 1);
    if (at < this.#turn) this.#turn -= 1;
  }

  /**
   * Gives the message to the member whose turn it is; those who can take it at once come first. One that is stored does
   * not wait for a member that is away: whoever comes first gets it from the store.
   */
  offer(message: Message, stored: boolean): OfferResult {
    const member = this.#next();
    if (member === undefined || (stored && !member.session.isConnected)) return "dropped";
    return member.session.offer(member.deliveryOf(message, stored));
  }

  /** Connected with room, else connected, else any that has a session; undefined: there is no member. */
  #next(): SessionSubscription | undefined {
    const count = this.#members.length;
    let connected = -1;
    let any = -1;
    for (let step = 0; step < count; step++) {
      const at = (this.#turn + step) % count;
      const { session } = this.#members[at] as SessionSubscription;
      if (session.isConnected) {
        if (session.hasRoom) return this.#take(at);
        if (connected < 0) connected = at;
      } else if (any < 0) {
        any = at;
      }
    }
    const at = connected >= 0 ? connected : any;
    return at < 0 ? undefined : this.#take(at);
  }

  #take(at: number): SessionSubscription {
    this.#turn = (at + 1) % this.#members.length;
    return this.#members[at] as SessionSubscription;
  }
}
