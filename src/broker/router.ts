// Finds the subscriptions of a topic and hands each session its one copy of a message.

import type { Message, QoS } from "../mqtt/message.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import { parseTopicFilter, SYS_PREFIX } from "../mqtt/topic.ts";
import { TopicTrie } from "../mqtt/topic-trie.ts";
import type { ReplayTarget } from "../plugin/host.ts";
import type { Delivery } from "./delivery.ts";
import type { Metrics } from "./metrics.ts";
import type { Session } from "./session.ts";
import { SessionSubscription, SharedSubscription } from "./session-subscription.ts";

type Matched = SessionSubscription | SharedSubscription;

export interface RouteResult {
  /** Subscriptions that the message is for; a shared one counts once. */
  readonly matched: number;
  /** Those it was not pushed to because they are catching up. */
  readonly missed: readonly ReplayTarget[];
}

const NONE_MISSED: readonly ReplayTarget[] = [];

/** What one session gets, where several of its subscriptions match. */
interface MergedCopy {
  readonly session: Session;
  /** The first that is not catching up. */
  live: SessionSubscription | undefined;
  catchingUp: SessionSubscription[];
  qos: QoS;
  retain: boolean;
  identifiers: number[];
}

export class Router {
  readonly #trie = new TopicTrie<Matched>();
  readonly #shared = new Map<string, SharedSubscription>();
  readonly #metrics: Metrics;
  #found: Matched[] = [];
  readonly #visit = (value: Matched): void => {
    this.#found.push(value);
  };
  #mark = 0;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  sharedSubscription(topicFilter: string): SharedSubscription | undefined {
    return this.#shared.get(topicFilter);
  }

  /** Topic Filters that are subscribed to, each once; those of shared subscriptions without `$share/{ShareName}/`. */
  topicFilters(): Iterable<string> {
    return this.#trie.allFilters();
  }

  /** Makes a subscription, or changes the options of the one that the session holds for that filter. */
  subscribe(session: Session, request: SubscriptionRequest): { subscription: SessionSubscription; isNew: boolean } {
    const { topicFilter } = request;
    const held = session.subscriptions.get(topicFilter);
    if (held !== undefined) {
      held.request = request;
      return { subscription: held, isNew: false };
    }
    const { shareName, filter } = parseTopicFilter(topicFilter);
    const group = shareName === undefined ? undefined : this.#groupOf(topicFilter);
    const subscription = new SessionSubscription(session, request, group);
    if (group === undefined) this.#trie.add(filter, subscription);
    else group.add(subscription);
    session.subscriptions.set(topicFilter, subscription);
    this.#count(subscription, 1);
    return { subscription, isNew: true };
  }

  /** Returns the subscription that was ended; undefined: there was none. */
  unsubscribe(session: Session, topicFilter: string): SessionSubscription | undefined {
    const subscription = session.subscriptions.get(topicFilter);
    if (subscription === undefined) return undefined;
    session.subscriptions.delete(topicFilter);
    const { group } = subscription;
    if (group === undefined) {
      this.#trie.delete(subscription.filter, subscription);
    } else {
      group.remove(subscription);
      if (group.members.length === 0) {
        this.#shared.delete(topicFilter);
        this.#trie.delete(group.filter, group);
      }
    }
    this.#count(subscription, -1);
    return subscription;
  }

  /** Whether a message of that topic would go to a client that is connected. */
  reaches(topic: string): boolean {
    let reached = false;
    this.#trie.match(topic, (to) => {
      reached ||= to instanceof SharedSubscription ? to.hasConnectedMember : to.session.isConnected;
    });
    return reached;
  }

  /** Hands the message to all subscriptions that match. `stored`: a plugin holds it durably. */
  route(message: Message, stored: boolean): RouteResult {
    const found = this.#found;
    this.#trie.match(message.topic, this.#visit);
    if (found.length === 0) return { matched: 0, missed: NONE_MISSED };
    // Hooks called below may lead to another message being routed.
    this.#found = [];
    const missed: ReplayTarget[] = [];
    const matched =
      found.length === 1
        ? this.#routeToOne(found[0] as Matched, message, stored, missed)
        : this.#routeToMany(found, message, stored, missed);
    if (found.length <= MAX_KEPT_MATCHES) {
      found.length = 0;
      this.#found = found;
    }
    return { matched, missed };
  }

  #count({ filter, group }: SessionSubscription, by: 1 | -1): void {
    this.#metrics.subscriptions += by;
    if (group !== undefined) this.#metrics.sharedSubscriptions += by;
    if (filter.startsWith(SYS_PREFIX)) this.#metrics.sysSubscriptions += by;
    this.#metrics.topics = this.#trie.filters;
  }

  #groupOf(topicFilter: string): SharedSubscription {
    let group = this.#shared.get(topicFilter);
    if (group === undefined) {
      group = new SharedSubscription(topicFilter);
      this.#shared.set(topicFilter, group);
      this.#trie.add(group.filter, group);
    }
    return group;
  }

  #routeToOne(to: Matched, message: Message, stored: boolean, missed: ReplayTarget[]): 0 | 1 {
    if (to instanceof SessionSubscription && isOwn(to, message)) return 0;
    if (to instanceof SharedSubscription) {
      if (stored && to.catchingUp) missed.push(to.target);
      else to.offer(message, stored);
      return 1;
    }
    const delivery = to.deliveryOf(message, stored);
    if (!stored || !to.catchingUp) to.session.offer(delivery);
    else if (!to.session.holdBack(delivery)) missed.push(to.target);
    return 1;
  }

  /** One copy for each session, with the highest QoS and all identifiers of its subscriptions (MQTT 5, 3.3.4). */
  #routeToMany(found: readonly Matched[], message: Message, stored: boolean, missed: ReplayTarget[]): number {
    this.#mark += 1;
    const copies: MergedCopy[] = [];
    let matched = 0;
    for (const to of found) {
      if (to instanceof SharedSubscription) {
        matched += this.#routeToOne(to, message, stored, missed);
      } else if (!isOwn(to, message)) {
        matched += 1;
        this.#merge(to, copies, message, stored);
      }
    }
    for (const { session, live, catchingUp, qos, retain, identifiers } of copies) {
      const delivery: Delivery = {
        message,
        qos: Math.min(message.qos, qos) as QoS,
        retain,
        subscriptionIdentifiers: identifiers.length > 0 ? identifiers : undefined,
        subscription: live ?? (catchingUp[0] as SessionSubscription),
        stored,
        retained: false,
        saved: undefined,
      };
      if (live !== undefined) session.offer(delivery);
      else if (!session.holdBack(delivery)) for (const { target } of catchingUp) missed.push(target);
    }
    return matched;
  }

  #merge(subscription: SessionSubscription, copies: MergedCopy[], message: Message, stored: boolean): void {
    const { session, request } = subscription;
    let copy = session.routeMark === this.#mark ? copies[session.routeSlot] : undefined;
    if (copy === undefined) {
      session.routeMark = this.#mark;
      session.routeSlot = copies.length;
      copy = { session, live: undefined, catchingUp: [], qos: 0, retain: false, identifiers: [] };
      copies.push(copy);
    }
    if (stored && subscription.catchingUp) copy.catchingUp.push(subscription);
    else copy.live ??= subscription;
    if (request.qos > copy.qos) copy.qos = request.qos;
    if (request.retainAsPublished && message.retain) copy.retain = true;
    if (request.subscriptionIdentifier !== undefined) copy.identifiers.push(request.subscriptionIdentifier);
  }
}

/** The list of matches is used again for the next message, unless it grew beyond this length. */
const MAX_KEPT_MATCHES = 1024;

/** No Local: a client does not get back what it published itself [MQTT-3.8.3-3]. */
function isOwn(subscription: SessionSubscription, message: Message): boolean {
  return subscription.request.noLocal && message.from === subscription.session.clientId;
}
