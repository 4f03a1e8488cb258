// The codec under random packets, and under bytes that are no packets: it gives packets or MqttDecodeError, nothing else.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PacketDecoder } from "../../src/mqtt/codec/decoder.ts";
import { encodePacket } from "../../src/mqtt/codec/encoder.ts";
import { MqttDecodeError } from "../../src/mqtt/codec/errors.ts";
import type { Packet, ProtocolVersion } from "../../src/mqtt/codec/packets.ts";
import { encodedPublishLength } from "../../src/mqtt/codec/publish-encoder.ts";
import { bytesOf, PACKETS } from "./packets-table.ts";
import { plain } from "./plain-packet.ts";
import { RandomPackets } from "./random-packets.ts";
import { type Random, seededRandom } from "./seed.ts";

const VERSIONS = [3, 4, 5] as const;
const SENDERS = ["client", "server"] as const;

/** Cuts bytes into random pieces. */
function* pieces(bytes: Buffer, random: Random): Generator<Buffer> {
  const largest = random.pick([1, 3, 50, 5_000]);
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random.below(largest);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

test("random packets come back, in pieces of any size", () => {
  const random = seededRandom("codec round trip");
  for (let round = 0; round < 200; round++) {
    const version = random.pick(VERSIONS);
    const sender = random.pick(SENDERS);
    const source = new RandomPackets(random, version, sender);
    const sent: Packet[] = Array.from({ length: 1 + random.below(20) }, () => source.any());
    if (sender === "client") sent.unshift(source.connect());
    const buffers = sent.map((packet) => encodePacket(packet, version));
    for (const [index, packet] of sent.entries()) {
      if (packet.type === "publish") assert.equal(encodedPublishLength(packet, version), buffers[index]?.length);
    }
    const decoder = new PacketDecoder({ sender, version: sender === "server" ? version : undefined });
    const received: Packet[] = [];
    for (const piece of pieces(Buffer.concat(buffers), random)) {
      decoder.push(Buffer.from(piece));
      for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) received.push(packet);
    }
    assert.deepEqual(received.map(plain), sent.map(plain));
  }
});

/** Reads what can be read; returns the number of packets, and whether an error ended it. */
function readAll(bytes: Buffer, sender: "client" | "server", version: ProtocolVersion | undefined): number {
  const decoder = new PacketDecoder({ sender, version });
  decoder.push(bytes);
  let packets = 0;
  try {
    while (decoder.next() !== undefined) packets += 1;
  } catch (error) {
    assert.ok(error instanceof MqttDecodeError, String((error as Error).stack));
  }
  // Each packet takes two bytes at least: more would mean that it reads in circles.
  assert.ok(packets <= bytes.length / 2);
  return packets;
}

test("random bytes give packets or MqttDecodeError", () => {
  const random = seededRandom("codec random bytes");
  for (let round = 0; round < 20_000; round++) {
    const bytes = random.bytes(random.below(40));
    // A likely first byte and a length that fits lead further into the packet.
    if (bytes.length > 2 && random.chance(0.7)) {
      bytes[0] = random.pick([0x10, 0x20, 0x30, 0x32, 0x40, 0x62, 0x82, 0x90, 0xa2, 0xb0, 0xe0, 0xf0]);
      bytes[1] = bytes.length - 2;
    }
    readAll(bytes, random.pick(SENDERS), random.pick([undefined, ...VERSIONS]));
  }
});

test("packets with a few bytes changed give packets or MqttDecodeError", () => {
  const random = seededRandom("codec mutations");
  const originals = PACKETS.map((named) => ({ ...named, original: bytesOf(named.bytes) }));
  let packets = 0;
  const rounds = 30_000;
  for (let round = 0; round < rounds; round++) {
    const { original, version, sender, packet } = random.pick(originals);
    let bytes = Buffer.from(original);
    for (let change = 0; change < 1 + random.below(3); change++) {
      const at = random.below(bytes.length);
      const kind = random.below(4);
      if (kind === 0) bytes[at] = random.below(256);
      else if (kind === 1) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), random.bytes(1), bytes.subarray(at)]);
      else bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
      if (bytes.length === 0) bytes = Buffer.from([0]);
    }
    packets += readAll(bytes, sender, packet.type === "connect" ? undefined : version);
  }
  assert.ok(packets > 0 && packets < rounds * 2, "some changes are refused, some are not");
});

test("what is read from changed bytes is written so that it reads the same", () => {
  const random = seededRandom("codec canonical form");
  let compared = 0;
  for (let round = 0; round < 10_000; round++) {
    const { bytes: text, version, sender, packet } = random.pick(PACKETS);
    const bytes = bytesOf(text);
    bytes[random.below(bytes.length)] = random.below(256);
    const decoderVersion = packet.type === "connect" ? undefined : version;
    const read = (input: Buffer): Packet | undefined => {
      const decoder = new PacketDecoder({ sender, version: decoderVersion });
      decoder.push(input);
      return decoder.next();
    };
    let first: Packet | undefined;
    try {
      first = read(bytes);
    } catch {
      continue; // refused, which the tests above cover
    }
    if (first === undefined) continue;
    const again = read(encodePacket(first, first.type === "connect" ? first.version : version));
    assert.deepEqual(plain(again), plain(first), bytes.toString("hex"));
    compared += 1;
  }
  assert.ok(compared > 100);
});
