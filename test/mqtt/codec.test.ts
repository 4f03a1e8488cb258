// The codec against named packets, byte by byte, in both directions and however the bytes are split.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PacketDecoder } from "../../src/mqtt/codec/decoder.ts";
import { encodeAck, encodePacket } from "../../src/mqtt/codec/encoder.ts";
import type { Packet } from "../../src/mqtt/codec/packets.ts";
import { encodedPublishLength, encodePublish, encodePublishHeader } from "../../src/mqtt/codec/publish-encoder.ts";
import { bytesOf, type NamedPacket, PACKETS } from "./packets-table.ts";
import { plain } from "./plain-packet.ts";

function decoderFor({ packet, sender, version }: NamedPacket): PacketDecoder {
  return new PacketDecoder({ sender, version: packet.type === "connect" ? undefined : version });
}

function takeAll(decoder: PacketDecoder): Packet[] {
  const packets: Packet[] = [];
  for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) packets.push(packet);
  return packets;
}

for (const named of PACKETS) {
  const bytes = bytesOf(named.bytes);

  test(`${named.name} is read`, () => {
    const decoder = decoderFor(named);
    decoder.push(bytes);
    assert.deepEqual(takeAll(decoder).map(plain), [plain(named.packet)]);
    assert.equal(decoder.version, named.version);
  });

  test(`${named.name} is read, split anywhere`, () => {
    for (let split = 1; split < bytes.length; split++) {
      const decoder = decoderFor(named);
      decoder.push(bytes.subarray(0, split));
      assert.deepEqual(takeAll(decoder), []);
      assert.equal(decoder.bufferedBytes, split);
      decoder.push(bytes.subarray(split));
      assert.deepEqual(takeAll(decoder).map(plain), [plain(named.packet)]);
      assert.equal(decoder.bufferedBytes, 0);
    }
    const decoder = decoderFor(named);
    const packets: Packet[] = [];
    for (const byte of bytes) {
      decoder.push(Buffer.from([byte]));
      packets.push(...takeAll(decoder));
    }
    assert.deepEqual(packets.map(plain), [plain(named.packet)]);
  });

  if (named.readOnly) continue;
  test(`${named.name} is written`, () => {
    assert.equal(encodePacket(named.packet, named.version).toString("hex"), bytes.toString("hex"));
  });

  const { packet } = named;
  if (packet.type !== "publish") continue;
  test(`${named.name} is written as header and payload, and its length is known`, () => {
    const header = encodePublishHeader(packet, named.version);
    assert.deepEqual(Buffer.concat([header, packet.payload]), bytes);
    assert.deepEqual(encodePublish(packet, named.version), bytes);
    assert.equal(encodedPublishLength(packet, named.version), bytes.length);
  });
}

test("plain acknowledgements are the same in all versions", () => {
  for (const type of ["puback", "pubrec", "pubrel", "pubcomp"] as const) {
    for (const version of [3, 4, 5] as const) {
      const packet: Packet = { type, packetId: 0xabcd, reasonCode: 0, properties: {} };
      assert.deepEqual(encodeAck(type, 0xabcd), encodePacket(packet, version));
    }
  }
});

test("what MQTT 3.1.1 has no room for is left out", () => {
  const written = (packet: Packet): string => encodePacket(packet, 4).toString("hex");
  const properties = { reasonString: "r" };
  assert.equal(written({ type: "puback", packetId: 1, reasonCode: 0x97, properties }), "40020001");
  assert.equal(written({ type: "unsuback", packetId: 1, reasonCodes: [0x11], properties }), "b0020001");
  assert.equal(written({ type: "suback", packetId: 1, reasonCodes: [1, 0x97, 0x80], properties }), "90050001018080");
  assert.equal(written({ type: "disconnect", reasonCode: 0x8e, properties }), "e000");
  for (const [reasonCode, returnCode] of [
    [0, 0],
    [0x84, 1],
    [0x85, 2],
    [0x88, 3],
    [0x89, 3],
    [0x97, 3],
    [0x80, 3],
    [0x86, 4],
    [0x87, 5],
    [0x8a, 5],
    [0x8c, 5],
    [5, 5],
  ] as const) {
    const packet: Packet = { type: "connack", sessionPresent: false, reasonCode, properties };
    assert.equal(written(packet), `2002000${returnCode}`);
  }
});

test("all packets of one sender and version in one stream, in pieces of every size", () => {
  const named = PACKETS.filter((one) => one.version === 5 && one.sender === "client" && one.packet.type !== "connect");
  const stream = Buffer.concat(named.map((one) => bytesOf(one.bytes)));
  const expected = named.map((one) => plain(one.packet));
  for (let size = 1; size <= stream.length; size++) {
    const decoder = new PacketDecoder({ version: 5 });
    const packets: Packet[] = [];
    for (let at = 0; at < stream.length; at += size) {
      decoder.push(stream.subarray(at, at + size));
      packets.push(...takeAll(decoder));
    }
    assert.deepEqual(packets.map(plain), expected);
  }
});

test("chunks may be pushed before the packets of the last are taken", () => {
  const decoder = new PacketDecoder({ version: 4 });
  const publish = bytesOf("30 07 0003 't/1' 'hi'");
  const stream = Buffer.concat([publish, publish, publish]);
  for (let at = 0; at < stream.length; at += 4) decoder.push(stream.subarray(at, at + 4));
  assert.equal(takeAll(decoder).length, 3);
});

test("the payload is a view of the chunk when the packet lies in one", () => {
  const decoder = new PacketDecoder({ version: 4 });
  const chunk = Buffer.from(Buffer.concat([bytesOf("30 07 0003 't/1' 'hi'"), bytesOf("30 07 0003 't/1' 'ho'")]));
  decoder.push(chunk);
  for (const packet of takeAll(decoder)) {
    assert.equal(packet.type, "publish");
    if (packet.type === "publish") assert.equal(packet.payload.buffer, chunk.buffer);
  }
});

test("an empty chunk changes nothing", () => {
  const decoder = new PacketDecoder({ version: 4 });
  decoder.push(Buffer.alloc(0));
  assert.equal(decoder.next(), undefined);
  decoder.push(bytesOf("C0"));
  decoder.push(Buffer.alloc(0));
  decoder.push(bytesOf("00"));
  assert.deepEqual(takeAll(decoder), [{ type: "pingreq" }]);
});

test("a large packet in pieces is read in linear time", () => {
  const payload = Buffer.alloc(1_000_000, 1);
  const bytes = encodePublish({ type: "publish", topic: "t", qos: 0, retain: false, dup: false, payload }, 4);
  const decoder = new PacketDecoder({ version: 4, maxPacketSize: bytes.length });
  const start = performance.now();
  let packets: Packet[] = [];
  for (let at = 0; at < bytes.length; at++) {
    decoder.push(bytes.subarray(at, at + 1));
    packets = takeAll(decoder);
  }
  assert.equal(packets.length, 1);
  assert.deepEqual(packets.map(plain), [
    plain({ type: "publish", topic: "t", qos: 0, retain: false, dup: false, payload }),
  ]);
  const elapsedMs = performance.now() - start;
  // Copying the beginning again for each byte would take minutes.
  assert.ok(elapsedMs < 10_000, `${elapsedMs} ms`);
});

test("a text, data or packet that is too long is not written", () => {
  const publish = { type: "publish", qos: 0, retain: false, dup: false, payload: Buffer.alloc(0) } as const;
  const refused = { code: "MQTT_ENCODE_TOO_LONG" };
  assert.equal(encodePublish({ ...publish, topic: "t".repeat(65_535) }, 4).length, 65_541);
  assert.throws(() => encodePublish({ ...publish, topic: "t".repeat(65_536) }, 4), refused);
  assert.throws(() => encodePublish({ ...publish, topic: "é".repeat(32_768) }, 4), refused);
  assert.throws(() => encodedPublishLength({ ...publish, topic: "t".repeat(65_536) }, 4), refused);
  const correlationData = Buffer.alloc(65_536);
  assert.throws(() => encodePublishHeader({ ...publish, topic: "t", properties: { correlationData } }, 5), refused);
  const payload = Buffer.alloc(268_435_456 - 3);
  assert.throws(() => encodePublishHeader({ ...publish, topic: "t", payload }, 4), refused);
  const largest = payload.subarray(1);
  assert.equal(encodedPublishLength({ ...publish, topic: "t", payload: largest }, 4), 268_435_460);
  assert.equal(
    encodePublishHeader({ ...publish, topic: "t", payload: largest }, 4).toString("hex"),
    "30ffffff7f000174",
  );
  const connect = { type: "connect", version: 4, cleanStart: true, keepAlive: 0, clientId: "c" } as const;
  assert.throws(() => encodePacket({ ...connect, userName: "u".repeat(65_536) }, 4), refused);
  assert.throws(() => encodePacket({ ...connect, password: correlationData }, 4), refused);
});
