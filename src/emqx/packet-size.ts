// How large the PUBLISH would be that EMQX makes of a stored message, to be held against a client's Maximum Packet Size.

import { encodedPublishLength } from "../mqtt/codec/publish-encoder.ts";
import type { Message, QoS } from "../mqtt/message.ts";
import { secondsLeft } from "./message-fields.ts";
import type { LinkSession } from "./sessions.ts";

/** Whether the client takes it; `now` in ms since the epoch. */
export function fits(session: LinkSession, message: Message, qos: QoS, identifier: number | undefined, now: number) {
  const { maximumPacketSize, protocolVersion } = session;
  if (maximumPacketSize === 0) return true;
  const { topic, payload, properties, expiresAt } = message;
  const packet = {
    type: "publish",
    topic,
    payload,
    qos,
    retain: false,
    dup: false,
    packetId: 1,
    properties: {
      ...properties,
      messageExpiryInterval: expiresAt === undefined ? undefined : secondsLeft(expiresAt, now),
      subscriptionIdentifiers: identifier === undefined ? undefined : [identifier],
    },
  } as const;
  return encodedPublishLength(packet, protocolVersion === 5 ? 5 : 4) <= maximumPacketSize;
}
