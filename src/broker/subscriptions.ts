// SUBSCRIBE and UNSUBSCRIBE, and subscriptions that the plugin restores.

import type { SubackPacket, SubscribePacket, UnsubackPacket, UnsubscribePacket } from "../mqtt/codec/packets.ts";
import { ReasonCode } from "../mqtt/reason-code.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import { countLevels, SYS_PREFIX, validateTopicFilter } from "../mqtt/topic.ts";
import { letGoOfHeld } from "./catch-up.ts";
import type { HookRunner } from "./hook-runner.ts";
import type { Metrics } from "./metrics.ts";
import type { BrokerOptions } from "./options.ts";
import type { Persistence } from "./persistence/persistence.ts";
import type { Retained, RetainedMessages } from "./retained.ts";
import type { Router } from "./router.ts";
import type { Session } from "./session.ts";
import type { SessionSubscription } from "./session-subscription.ts";
import type { SysTopics } from "./sys-topics.ts";

interface SubscriptionsContext {
  readonly options: Pick<BrokerOptions, "maxSubscriptions" | "maxSubscribeFilters" | "maxTopicLevels">;
  readonly hooks: HookRunner;
  readonly metrics: Metrics;
  readonly router: Router;
  readonly retained: RetainedMessages;
  readonly persistence: Persistence;
  readonly sysTopics: SysTopics;
}

/** Sends the answer; one reason in words is for all filters that have none or were refused. */
type Acknowledge<Answer> = (answer: Answer, reasonString: string | undefined) => void;

/** Why a client may not have a subscription. */
export interface RefusedSubscription {
  readonly reasonCode: ReasonCode;
  readonly reasonString: string;
}

const TOO_MANY_FILTERS: RefusedSubscription = {
  reasonCode: ReasonCode.QuotaExceeded,
  reasonString: "The SUBSCRIBE has too many topic filters: send them in several.",
};

interface Made {
  /** The options of this SUBSCRIBE; those that hold by the time may be of a later one for the same filter. */
  readonly request: SubscriptionRequest;
  readonly subscription: SessionSubscription;
  readonly isNew: boolean;
}

export class Subscriptions {
  readonly #context: SubscriptionsContext;

  constructor(context: SubscriptionsContext) {
    this.#context = context;
  }

  /**
   * Makes the subscriptions of one SUBSCRIBE, in its order; `acknowledge` sends SUBACK, before the retained messages.
   */
  subscribe(
    session: Session,
    { packetId, subscriptions, properties }: SubscribePacket,
    acknowledge: Acknowledge<SubackPacket>,
  ): void {
    const subscriptionIdentifier = properties?.subscriptionIdentifier;
    const made: Made[] = [];
    let refusals = 0;
    let firstReason: string | undefined;
    const { maxSubscribeFilters } = this.#context.options;
    const reasonCodes = subscriptions.map((options, at) => {
      const request: SubscriptionRequest = { ...options, subscriptionIdentifier };
      const refused = at < maxSubscribeFilters ? this.#refusalOf(session, request) : TOO_MANY_FILTERS;
      if (refused !== undefined) {
        refusals += 1;
        firstReason ??= refused.reasonString;
        return refused.reasonCode;
      }
      made.push(this.#make(session, request, false));
      return options.qos;
    });
    const reason = refusals > 1 ? `${refusals} topic filters are refused. The first: ${firstReason}` : firstReason;
    acknowledge({ type: "suback", packetId, reasonCodes }, reason);
    for (const one of made) this.#sendRetained(one);
  }

  /** Makes a stored subscription, unless the client holds the filter already or may not have it. */
  restore(session: Session, request: SubscriptionRequest): void {
    if (session.subscriptions.has(request.topicFilter)) return;
    if (this.#refusalOf(session, request) !== undefined) return;
    this.#sendRetained(this.#make(session, request, true));
  }

  /** Makes a subscription that an administrator wants; the client need not be connected. Returns why it may not be. */
  make(session: Session, request: SubscriptionRequest): RefusedSubscription | undefined {
    const refused = this.#refusalOf(session, request);
    if (refused === undefined) this.#sendRetained(this.#make(session, request, false));
    return refused;
  }

  /** Ends the subscriptions of one UNSUBSCRIBE, in its order; `acknowledge` sends UNSUBACK. */
  unsubscribe(
    session: Session,
    { packetId, topicFilters }: UnsubscribePacket,
    acknowledge: Acknowledge<UnsubackPacket>,
  ): void {
    let missing = 0;
    const reasonCodes = topicFilters.map((topicFilter) => {
      if (this.end(session, topicFilter)) return ReasonCode.Success;
      missing += 1;
      return ReasonCode.NoSubscriptionExisted;
    });
    const reason = missing === 0 ? undefined : `There was no subscription to ${missing} of the topic filters.`;
    acknowledge({ type: "unsuback", packetId, reasonCodes }, reason);
  }

  /**
   * Ends one subscription; returns whether there was such a one. The hook is told even if the session does not hold the filter: a
   * plugin may be about to restore it.
   */
  end(session: Session, topicFilter: string): boolean {
    const { hooks, persistence, router } = this.#context;
    const subscription = router.unsubscribe(session, topicFilter);
    if (subscription !== undefined) persistence.endSubscription(subscription);
    const dropped = subscription === undefined ? [] : letGoOfHeld(subscription);
    hooks.sessionUnsubscribed(session.clientId, topicFilter);
    for (const { message } of dropped) hooks.deliveryDropped(session.clientId, topicFilter, message, "unsubscribed");
    return subscription !== undefined;
  }

  /** Why the client may not have the subscription; undefined: it may. */
  #refusalOf(session: Session, { topicFilter }: SubscriptionRequest): RefusedSubscription | undefined {
    const { maxSubscriptions, maxTopicLevels } = this.#context.options;
    const problem = validateTopicFilter(topicFilter);
    if (problem !== undefined) return { reasonCode: ReasonCode.TopicFilterInvalid, reasonString: problem.message };
    if (countLevels(topicFilter) > maxTopicLevels) {
      const reasonString = `The topic filter has more than ${maxTopicLevels} levels.`;
      return { reasonCode: ReasonCode.TopicFilterInvalid, reasonString };
    }
    if (session.subscriptions.size >= maxSubscriptions && !session.subscriptions.has(topicFilter)) {
      const reasonString = `The session has ${maxSubscriptions} subscriptions, which is the limit.`;
      return { reasonCode: ReasonCode.QuotaExceeded, reasonString };
    }
    return undefined;
  }

  #make(session: Session, request: SubscriptionRequest, restored: boolean): Made {
    const { hooks, persistence, router } = this.#context;
    const made = router.subscribe(session, request);
    persistence.keepSubscription(made.subscription);
    if (hooks.active) {
      const { isNew } = made;
      const { clientId, clientIdAssigned } = session;
      hooks.sessionSubscribed({ ...request, clientId }, { isNew, restored, clientIdAssigned });
    }
    return { ...made, request };
  }

  /** [MQTT-3.3.1-9, -10, -11]; shared subscriptions get none (MQTT 5, 4.8.2). */
  #sendRetained({ subscription, request, isNew }: Made): void {
    const { group, session, filter } = subscription;
    const { retainHandling, noLocal } = request;
    if (group !== undefined || retainHandling === 2 || (retainHandling === 1 && !isNew)) return;
    for (const { message, stored } of this.#retainedOf(filter)) {
      if (noLocal && message.from === session.clientId) continue;
      const delivery = { ...subscription.deliveryOf(message, stored, request), retain: true, retained: true };
      // To a client that is away only QoS 0 is dropped as long as there is room.
      if (session.offer(delivery) === "dropped" && (session.isConnected || delivery.qos > 0)) return;
    }
  }

  #retainedOf(filter: string): Retained[] {
    const { retained, sysTopics } = this.#context;
    const found = retained.match(filter);
    return filter.startsWith(SYS_PREFIX) ? [...found, ...sysTopics.match(filter)] : found;
  }
}
