// An application message as every part of the system passes it on.

import type { MessageId } from "./message-id.ts";

export type QoS = 0 | 1 | 2;

/** A name and a value; names may repeat and their order is kept (MQTT 5, 3.3.2.3.7). */
export type UserProperty = readonly [name: string, value: string];

/** The properties of a PUBLISH that travel with the message to its subscribers (MQTT 5, 3.3.2.3). */
export interface MessageProperties {
  readonly payloadFormatIndicator?: 0 | 1;
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlationData?: Uint8Array;
  readonly userProperties?: readonly UserProperty[];
}

export interface Message {
  /** Given by the broker when the message arrives; ids of one broker rise in publish order. */
  readonly id: MessageId;
  /** Client Identifier of the publisher. */
  readonly from: string;
  readonly topic: string;
  /** The QoS with which it was published. */
  readonly qos: QoS;
  /** The RETAIN flag with which it was published. */
  readonly retain: boolean;
  readonly payload: Uint8Array;
  /** When it arrived, in ms since the epoch. */
  readonly timestamp: number;
  /** When it expires, in ms since the epoch (arrival + Message Expiry Interval); absent: never. */
  readonly expiresAt?: number;
  readonly properties?: MessageProperties;
}
