// The packets that the load generator sends, written ahead: only identifiers and sequence numbers are patched later.

import mqttPacket from "mqtt-packet";

/** First bytes of the packets that the load generator looks at; flags are masked out of PUBLISH. */
export const CONNACK = 0x20;
export const PUBLISH = 0x30;
export const PUBACK = 0x40;
export const SUBACK = 0x90;

/** A payload begins with its publisher's number and its sequence number, 4 bytes each. */
const PUBLISHER_AT = 0;
const SEQUENCE_AT = 4;
export const MIN_PAYLOAD = 8;

export const DISCONNECT_PACKET = mqttPacket.generate({ cmd: "disconnect" });

/** CONNECT of an MQTT 3.1.1 client without Keep Alive. */
export function connectPacket(clientId: string, clean: boolean): Buffer {
  return mqttPacket.generate({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 4,
    clientId,
    clean,
    keepalive: 0,
  });
}

/** CONNECT of an MQTT 5 client. `sessionExpiry` and `keepAlive` in seconds. */
export function connectPacket5(clientId: string, sessionExpiry: number, keepAlive: number): Buffer {
  return mqttPacket.generate({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 5,
    clientId,
    clean: true,
    keepalive: keepAlive,
    properties: { sessionExpiryInterval: sessionExpiry },
  });
}

/** SUBSCRIBE of an MQTT 5 client, with QoS 1. */
export function subscribePacket5(topicFilter: string): Buffer {
  const subscriptions = [{ topic: topicFilter, qos: 1 as const, nl: false, rap: false, rh: 0 as const }];
  return mqttPacket.generate({ cmd: "subscribe", messageId: 1, subscriptions }, { protocolVersion: 5 });
}

/** SUBSCRIBE with QoS 1. */
export function subscribePacket(topicFilter: string): Buffer {
  return mqttPacket.generate({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: topicFilter, qos: 1 }] });
}

/** `count` PUBLISH packets of QoS 1 side by side, with the packet identifiers 1 to `count`. */
export class PublishRing {
  readonly bytes: Buffer;
  readonly packetLength: number;
  readonly #payloadAt: number;

  constructor(options: { topic: string; publisher: number; count: number; payloadBytes: number }) {
    const { topic, publisher, count, payloadBytes } = options;
    const payload = Buffer.alloc(Math.max(MIN_PAYLOAD, payloadBytes), "x");
    payload.writeUInt32BE(publisher, PUBLISHER_AT);
    const packet = (messageId: number): Buffer =>
      mqttPacket.generate({ cmd: "publish", topic, payload, qos: 1, messageId, retain: false, dup: false });
    this.bytes = Buffer.concat(Array.from({ length: count }, (_, slot) => packet(slot + 1)));
    this.packetLength = this.bytes.length / count;
    this.#payloadAt = this.packetLength - payload.length;
  }

  setSequence(slot: number, sequence: number): void {
    this.bytes.writeUInt32BE(sequence, slot * this.packetLength + this.#payloadAt + SEQUENCE_AT);
  }
}

/** What a PUBLISH of QoS 1 carries, read from its body. */
export function readPublish(buffer: Buffer, start: number): { packetId: number; publisher: number; sequence: number } {
  const packetIdAt = start + 2 + buffer.readUInt16BE(start);
  const payloadAt = packetIdAt + 2;
  return {
    packetId: buffer.readUInt16BE(packetIdAt),
    publisher: buffer.readUInt32BE(payloadAt + PUBLISHER_AT),
    sequence: buffer.readUInt32BE(payloadAt + SEQUENCE_AT),
  };
}
