// Tells the properties that travel with a message from those that belong to one packet.

import type { PublishProperties } from "../mqtt/codec/packets.ts";
import type { MessageProperties } from "../mqtt/message.ts";
import type { Delivery } from "./delivery.ts";

/** What subscribers get of the properties of a PUBLISH or a will; undefined: nothing. */
export function messageProperties(from: MessageProperties | undefined): MessageProperties | undefined {
  if (from === undefined) return undefined;
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } = from;
  if (
    payloadFormatIndicator === undefined &&
    contentType === undefined &&
    responseTopic === undefined &&
    correlationData === undefined &&
    userProperties === undefined
  ) {
    return undefined;
  }
  return { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties };
}

/** The properties of the PUBLISH to a client; undefined: none. `now` gives ms since the epoch. */
export function publishProperties(
  { message, subscriptionIdentifiers }: Delivery,
  topicAlias: number | undefined,
  now: () => number,
): PublishProperties | undefined {
  const { expiresAt, properties } = message;
  if (
    properties === undefined &&
    expiresAt === undefined &&
    subscriptionIdentifiers === undefined &&
    topicAlias === undefined
  ) {
    return undefined;
  }
  return {
    ...properties,
    messageExpiryInterval: expiresAt === undefined ? undefined : remainingSeconds(expiresAt, now()),
    subscriptionIdentifiers,
    topicAlias,
  };
}

/** What is left of the Message Expiry Interval [MQTT-3.3.2-6]; a message sent again may be past its end. */
function remainingSeconds(expiresAt: number, now: number): number {
  return Math.max(1, Math.ceil((expiresAt - now) / 1000));
}
