// Whether a stored message can be sent at all: the PUBLISH that EMQX makes of it has to keep to the client's Maximum Packet Size,
// and DELIVER to the longest frame.

import { encodedPublishLength } from "../mqtt/codec/publish-encoder.ts";
import type { Message, QoS } from "../mqtt/message.ts";
import { messageLength, secondsLeft } from "./message-fields.ts";
import type { LinkSession } from "./sessions.ts";

/** What DELIVER has besides its message and filter, and more. */
const FRAME_ROOM = 64;

/** Whether DELIVER of the message to a filter of so many bytes is no longer than a frame may be. */
export function fitsFrame(message: Message, filterBytes: number, longestFrame: number): boolean {
  return messageLength(message) + filterBytes + FRAME_ROOM <= longestFrame;
}

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
