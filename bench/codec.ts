// Measures our packet codec beside mqtt-packet: reading and writing of small QoS 1 publishes. Prints a table.

import { cpus } from "node:os";
import mqttPacket from "mqtt-packet";
import { PacketDecoder } from "../src/mqtt/codec/decoder.ts";
import { encodeAck, encodePacket } from "../src/mqtt/codec/encoder.ts";
import type { Packet, ProtocolVersion, PublishPacket } from "../src/mqtt/codec/packets.ts";
import { encodePublish, encodePublishHeader } from "../src/mqtt/codec/publish-encoder.ts";

const PAYLOAD = Buffer.alloc(128, "x");
const TOPICS = Array.from({ length: 50 }, (_, number) => `devices/building${number % 7}/sensor${number}/temperature`);
const PROPERTIES = {
  messageExpiryInterval: 3600,
  contentType: "application/json",
  userProperties: [["trace", "0123456789abcdef"]],
} as const;

/** As much as a socket gives at once. */
const CHUNK_BYTES = 65_536;
const ROUND_MS = 300;
const ROUNDS = 5;

interface Case {
  readonly name: string;
  readonly ours: () => number;
  readonly theirs: () => number;
}

function publishOf(number: number, version: ProtocolVersion, withProperties: boolean): PublishPacket {
  return {
    type: "publish",
    topic: TOPICS[number % TOPICS.length] as string,
    qos: 1,
    retain: false,
    dup: false,
    packetId: 1 + (number % 65_535),
    payload: PAYLOAD,
    properties: withProperties && version === 5 ? PROPERTIES : undefined,
  };
}

/** The same packet as mqtt-packet names its fields. */
function theirsOf(packet: PublishPacket): mqttPacket.IPublishPacket {
  const { packetId, topic, qos, retain, dup, properties } = packet;
  const theirProperties = properties && {
    messageExpiryInterval: properties.messageExpiryInterval,
    contentType: properties.contentType,
    userProperties: Object.fromEntries(properties.userProperties ?? []),
  };
  return {
    cmd: "publish",
    messageId: packetId,
    topic,
    payload: PAYLOAD,
    qos,
    retain,
    dup,
    properties: theirProperties,
  };
}

function readCase(name: string, version: ProtocolVersion, withProperties: boolean): Case {
  const packets: Buffer[] = [];
  for (let bytes = 0; bytes < CHUNK_BYTES; bytes += packets.at(-1)?.length ?? 0) {
    packets.push(encodePublish(publishOf(packets.length, version, withProperties), version));
  }
  const chunk = Buffer.concat(packets);
  const decoder = new PacketDecoder({ sender: "server", version });
  const parser = mqttPacket.parser({ protocolVersion: version });
  let parsed = 0;
  parser.on("packet", () => {
    parsed += 1;
  });
  return {
    name,
    ours: () => {
      let count = 0;
      decoder.push(chunk);
      while (decoder.next() !== undefined) count += 1;
      return count;
    },
    theirs: () => {
      parsed = 0;
      parser.parse(chunk);
      return parsed;
    },
  };
}

function writeCase(name: string, version: ProtocolVersion, packets: Packet[], theirs: mqttPacket.Packet[]): Case {
  return {
    name,
    ours: () => {
      for (const packet of packets) encodePacket(packet, version);
      return packets.length;
    },
    theirs: () => {
      for (const packet of theirs) mqttPacket.generate(packet, { protocolVersion: version });
      return theirs.length;
    },
  };
}

/** Calls it for a while, several times, and gives the best rate per second. */
function rateOf(batch: () => number): number {
  let best = 0;
  for (let round = 0; round < ROUNDS; round++) {
    let packets = 0;
    const start = performance.now();
    while (performance.now() - start < ROUND_MS) packets += batch();
    best = Math.max(best, (packets * 1000) / (performance.now() - start));
  }
  return best;
}

const plain = TOPICS.map((_, number) => publishOf(number, 5, false));
const rich = TOPICS.map((_, number) => publishOf(number, 5, true));
const acks = TOPICS.map((_, number) => ({ type: "puback", packetId: number + 1, reasonCode: 0 }) as const);

const cases: Case[] = [
  readCase("read PUBLISH, 3.1.1", 4, false),
  readCase("read PUBLISH, 5.0", 5, false),
  readCase("read PUBLISH, 5.0, three properties", 5, true),
  writeCase("write PUBLISH, 3.1.1", 4, plain, plain.map(theirsOf)),
  writeCase("write PUBLISH, 5.0", 5, plain, plain.map(theirsOf)),
  writeCase("write PUBLISH, 5.0, three properties", 5, rich, rich.map(theirsOf)),
  writeCase(
    "write PUBACK, 5.0",
    5,
    acks,
    acks.map(({ packetId }) => ({ cmd: "puback", messageId: packetId, reasonCode: 0 })),
  ),
  {
    name: "write PUBLISH header alone, 5.0",
    ours: () => {
      for (const packet of plain) encodePublishHeader(packet, 5);
      return plain.length;
    },
    theirs: () => 0,
  },
  {
    name: "write PUBACK, encodeAck",
    ours: () => {
      for (const { packetId } of acks) encodeAck("puback", packetId);
      return acks.length;
    },
    theirs: () => 0,
  },
];

console.log(`Packets a second, payload of ${PAYLOAD.length} bytes; Node ${process.version}, ${cpus()[0]?.model}\n`);
console.log("| case | ours | mqtt-packet | ratio |");
console.log("|---|--:|--:|--:|");
for (const { name, ours, theirs } of cases) {
  const ourRate = rateOf(ours);
  const hasOther = theirs() > 0;
  const theirRate = hasOther ? rateOf(theirs) : 0;
  const columns = hasOther
    ? [Math.round(theirRate).toLocaleString("en"), (ourRate / theirRate).toFixed(1)]
    : ["-", "-"];
  console.log(`| ${name} | ${Math.round(ourRate).toLocaleString("en")} | ${columns.join(" | ")} |`);
}
