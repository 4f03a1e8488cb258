// SUBSCRIBE and UNSUBSCRIBE, and subscriptions that the plugin restores.

import type { RequestedSubscription } from "../mqtt/codec/packets.ts";
import { ReasonCode } from "../mqtt/reason-code.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import { countLevels, validateTopicFilter } from "../mqtt/topic.ts";
import { letGoOfHeld } from "./catch-up.ts";
import type { HookRunner } from "./hook-runner.ts";
import type { Metrics } from "./metrics.ts";
import type { BrokerOptions } from "./options.ts";
import type { Persistence } from "./persistence/persistence.ts";
import type { RetainedMessages } from "./retained.ts";
import type { Router } from "./router.ts";
import type { Session } from "./session.ts";
import type { SessionSubscription } from "./session-subscription.ts";

interface SubscriptionsContext {
  readonly options: Pick<BrokerOptions, "maxSubscriptions" | "maxSubscribeFilters" | "maxTopicLevels">;
  readonly hooks: HookRunner;
  readonly metrics: Metrics;
  readonly router: Router;
  readonly retained: RetainedMessages;
  readonly persistence: Persistence;
}

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
   * Makes the subscriptions of one SUBSCRIBE, in its order; `acknowledge` gets one Reason Code for each and sends SUBACK
   * before the retained messages.
   */
  subscribe(
    session: Session,
    requested: readonly RequestedSubscription[],
    subscriptionIdentifier: number | undefined,
    acknowledge: (reasonCodes: number[]) => void,
  ): void {
    const made: Made[] = [];
    const { maxSubscribeFilters } = this.#context.options;
    const reasonCodes = requested.map((options, at) => {
      if (at >= maxSubscribeFilters) return ReasonCode.QuotaExceeded;
      const request: SubscriptionRequest = { ...options, subscriptionIdentifier };
      const reasonCode = this.#authorize(session, request);
      if (reasonCode < ReasonCode.UnspecifiedError) made.push(this.#make(session, request, false));
      return reasonCode;
    });
    acknowledge(reasonCodes);
    for (const one of made) this.#sendRetained(one);
  }

  /** Makes a stored subscription, unless the client holds the filter already or may not have it. */
  restore(session: Session, request: SubscriptionRequest): void {
    if (session.subscriptions.has(request.topicFilter)) return;
    if (this.#authorize(session, request) >= ReasonCode.UnspecifiedError) return;
    this.#sendRetained(this.#make(session, request, true));
  }

  /**
   * Returns the Reason Code for UNSUBACK. The hook is told even if the session does not hold the filter: a plugin may be
   * about to restore it.
   */
  unsubscribe(session: Session, topicFilter: string): ReasonCode {
    const { hooks, persistence, router } = this.#context;
    const subscription = router.unsubscribe(session, topicFilter);
    if (subscription !== undefined) persistence.endSubscription(subscription);
    const dropped = subscription === undefined ? [] : letGoOfHeld(subscription);
    hooks.sessionUnsubscribed(session.clientId, topicFilter);
    for (const { message } of dropped) hooks.deliveryDropped(session.clientId, topicFilter, message, "unsubscribed");
    return subscription === undefined ? ReasonCode.NoSubscriptionExisted : ReasonCode.Success;
  }

  /** What the client is granted: a QoS, or the Reason Code of the refusal. */
  #authorize(session: Session, { topicFilter, qos }: SubscriptionRequest): ReasonCode {
    const { maxSubscriptions, maxTopicLevels } = this.#context.options;
    if (validateTopicFilter(topicFilter) !== undefined) return ReasonCode.TopicFilterInvalid;
    if (countLevels(topicFilter) > maxTopicLevels) return ReasonCode.TopicFilterInvalid;
    const isNew = !session.subscriptions.has(topicFilter);
    if (isNew && session.subscriptions.size >= maxSubscriptions) return ReasonCode.QuotaExceeded;
    return qos;
  }

  #make(session: Session, request: SubscriptionRequest, restored: boolean): Made {
    const { hooks, persistence, router } = this.#context;
    const made = router.subscribe(session, request);
    persistence.keepSubscription(made.subscription);
    if (hooks.active) {
      const { isNew } = made;
      hooks.sessionSubscribed({ ...request, clientId: session.clientId }, { isNew, restored });
    }
    return { ...made, request };
  }

  /** [MQTT-3.3.1-9, -10, -11]; shared subscriptions get none (MQTT 5, 4.8.2). */
  #sendRetained({ subscription, request, isNew }: Made): void {
    const { group, session, filter } = subscription;
    const { retainHandling, noLocal } = request;
    if (group !== undefined || retainHandling === 2 || (retainHandling === 1 && !isNew)) return;
    for (const { message, stored } of this.#context.retained.match(filter)) {
      if (noLocal && message.from === session.clientId) continue;
      const delivery = { ...subscription.deliveryOf(message, stored, request), retain: true, retained: true };
      if (session.offer(delivery) === "dropped") return;
    }
  }
}
