// Subscriptions by EMQX's names.

import { type Static, Type } from "typebox";
import type { SessionSubscription } from "../../broker/session-subscription.ts";
import { NODE_NAME } from "../../broker/sys-topics-values.ts";
import type { SubscriptionRequest } from "../../mqtt/subscription.ts";
import { exactly } from "../schemas.ts";

const Bit = Type.Union([Type.Literal(0), Type.Literal(1)]);
const QoS = Type.Union([Type.Literal(0), Type.Literal(1), Type.Literal(2)]);

const OPTIONS = {
  qos: Type.Optional(QoS),
  nl: Type.Optional(Bit),
  rap: Type.Optional(Bit),
  rh: Type.Optional(QoS),
};

/** What is to be subscribed; absent options are 0. */
export const Subscribe = exactly({ topic: Type.String(), ...OPTIONS });
export const Unsubscribe = exactly({ topic: Type.String() });

const made = {
  clientid: Type.String(),
  node: Type.String(),
  topic: Type.String(),
  qos: QoS,
  nl: Bit,
  rap: Bit,
  rh: QoS,
};

/** What was made. */
export const Subscribed = Type.Object(made);
/** What a session holds. */
export const Subscription = Type.Object({ ...made, durable: Type.Boolean() });

export function requestOf({ topic, qos = 0, nl = 0, rap = 0, rh = 0 }: Static<typeof Subscribe>): SubscriptionRequest {
  return { topicFilter: topic, qos, noLocal: nl === 1, retainAsPublished: rap === 1, retainHandling: rh };
}

export function subscribedJson(clientId: string, request: SubscriptionRequest): Static<typeof Subscribed> {
  const { topicFilter, qos, noLocal, retainAsPublished, retainHandling } = request;
  return {
    clientid: clientId,
    node: NODE_NAME,
    topic: topicFilter,
    qos,
    nl: noLocal ? 1 : 0,
    rap: retainAsPublished ? 1 : 0,
    rh: retainHandling,
  };
}

/** `durable` is of EMQX's sessions in its own database: there are none here. */
export function subscriptionJson({ session, request }: SessionSubscription): Static<typeof Subscription> {
  return { ...subscribedJson(session.clientId, request), durable: false };
}
