// Reads a PUBLISH (3.3), the packet that comes most.

import type { QoS } from "../message.ts";
import { ReasonCode } from "../reason-code.ts";
import { validateTopicName } from "../topic.ts";
import type { PacketReader } from "./packet-reader.ts";
import type { PublishPacket } from "./packets.ts";
import { readProperties } from "./properties.ts";

const RETAIN = 0x01;
const DUP = 0x08;

/** Reads the packet after its fixed header, whose low four bits are `flags`. Throws `MqttDecodeError`. */
export function readPublish(reader: PacketReader, flags: number): PublishPacket {
  const qos = (flags >> 1) & 0x3;
  const dup = (flags & DUP) !== 0;
  if (qos === 3) throw reader.malformed("its QoS is 3"); // [MQTT-3.3.1-4]
  if (qos === 0 && dup) throw reader.malformed("DUP is set with QoS 0"); // [MQTT-3.3.1-2]
  const topic = reader.readText();
  const packetId = qos > 0 ? reader.readPacketId() : undefined;
  const properties = reader.version === 5 ? readProperties(reader, "publish") : undefined;
  if (topic === "") {
    if (reader.version !== 5) throw reader.malformed("its topic is empty"); // MQTT 3.1.1, [MQTT-4.7.3-1]
    if (properties?.topicAlias === undefined) throw reader.protocolError("it has neither topic nor topic alias");
  } else {
    checkTopic(reader, topic);
  }
  return {
    type: "publish",
    topic,
    qos: qos as QoS,
    retain: (flags & RETAIN) !== 0,
    dup,
    packetId,
    payload: reader.readRest(),
    properties,
  };
}

/** [MQTT-3.3.2-2] */
function checkTopic(reader: PacketReader, topic: string): void {
  const problem = validateTopicName(topic);
  if (problem !== undefined) throw reader.error(ReasonCode.TopicNameInvalid, problem.message);
}
