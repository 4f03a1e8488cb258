// What the decoder refuses, and with which Reason Code.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PacketDecoder, type PacketDecoderOptions } from "../../src/mqtt/codec/decoder.ts";
import { MqttDecodeError } from "../../src/mqtt/codec/errors.ts";
import type { ProtocolVersion } from "../../src/mqtt/codec/packets.ts";
import { bytesOf } from "./packets-table.ts";

const MALFORMED = 0x81;
const PROTOCOL = 0x82;
const UNSUPPORTED = 0x84;
const TOPIC_NAME = 0x90;
const TOPIC_ALIAS = 0x94;
const TOO_LARGE = 0x95;

const CODES: Record<number, string> = {
  [MALFORMED]: "MQTT_MALFORMED_PACKET",
  [PROTOCOL]: "MQTT_PROTOCOL_ERROR",
  [UNSUPPORTED]: "MQTT_UNSUPPORTED_PROTOCOL_VERSION",
  [TOPIC_NAME]: "MQTT_TOPIC_NAME_INVALID",
  [TOPIC_ALIAS]: "MQTT_TOPIC_ALIAS_INVALID",
  [TOO_LARGE]: "MQTT_PACKET_TOO_LARGE",
};

/** The error of reading these bytes; undefined when all is well. */
function errorOf(bytes: Buffer, options: PacketDecoderOptions): MqttDecodeError | undefined {
  const decoder = new PacketDecoder(options);
  decoder.push(bytes);
  try {
    while (decoder.next() !== undefined);
    return undefined;
  } catch (error) {
    if (error instanceof MqttDecodeError) return error;
    throw error;
  }
}

type Case = readonly [name: string, bytes: string, reasonCode: number];

function refused(
  sender: "client" | "server",
  versions: readonly (ProtocolVersion | undefined)[],
  cases: readonly Case[],
) {
  for (const version of versions) {
    for (const [name, bytes, reasonCode] of cases) {
      test(`${name} is refused (version ${version ?? "unknown"})`, () => {
        const error = errorOf(bytesOf(bytes), { sender, version });
        assert.ok(error !== undefined, "nothing was refused");
        assert.equal(error.reasonCode, reasonCode, error.message);
        assert.equal(error.code, CODES[reasonCode]);
      });
    }
  }
}

function accepted(
  sender: "client" | "server",
  version: ProtocolVersion | undefined,
  cases: readonly (readonly [string, string])[],
) {
  for (const [name, bytes] of cases) {
    test(`${name} is accepted (version ${version ?? "unknown"})`, () => {
      assert.equal(errorOf(bytesOf(bytes), { sender, version }), undefined);
    });
  }
}

refused(
  "client",
  [undefined],
  [
    ["another first packet than CONNECT", "C0 00", PROTOCOL],
    ["a first packet of type 0", "00 00", MALFORMED],
    ["an HTTP request", "'GET / HTTP/1.1'", PROTOCOL],
    ["an unknown protocol level", "10 0C 0004 'MQTT' 06 02 003C 0000", UNSUPPORTED],
    ["protocol level 3 with the name MQTT", "10 0C 0004 'MQTT' 03 02 003C 0000", UNSUPPORTED],
    ["a bridge's protocol level", "10 0C 0004 'MQTT' 84 02 003C 0000", UNSUPPORTED],
    ["an unknown protocol name", "10 0C 0004 'MQTX' 04 02 003C 0000", UNSUPPORTED],
    ["an empty protocol name", "10 08 0000 04 02 003C 0000", UNSUPPORTED],
    ["the name MQIsdp with level 4", "10 0E 0006 'MQIsdp' 04 02 003C 0000", UNSUPPORTED],
    ["CONNECT with nothing", "10 00", MALFORMED],
    ["CONNECT that ends in its name", "10 04 0004 'MQ'", MALFORMED],
    ["CONNECT with flags in the fixed header", "11 0C 0004 'MQTT' 04 02 003C 0000", MALFORMED],
    ["CONNECT 5.0 with flags in the fixed header", "12 0D 0004 'MQTT' 05 02 003C 00 0000", MALFORMED],
    ["CONNECT with its reserved flag", "10 0C 0004 'MQTT' 04 03 003C 0000", MALFORMED],
    ["CONNECT with will QoS and no will", "10 0C 0004 'MQTT' 04 0A 003C 0000", MALFORMED],
    ["CONNECT with will retain and no will", "10 0C 0004 'MQTT' 04 22 003C 0000", MALFORMED],
    ["CONNECT with will QoS 3", "10 13 0004 'MQTT' 04 1E 003C 0000 0001 'w' 0002 'hi'", MALFORMED],
    ["CONNECT with a password and no user name", "10 0F 0004 'MQTT' 04 42 003C 0000 0001 'p'", MALFORMED],
    ["CONNECT 3.1 with a password and no user name", "10 11 0006 'MQIsdp' 03 42 003C 0000 0001 'p'", MALFORMED],
    ["CONNECT without its user name", "10 0C 0004 'MQTT' 04 82 003C 0000", MALFORMED],
    ["CONNECT without its will", "10 0C 0004 'MQTT' 04 06 003C 0000", MALFORMED],
    ["CONNECT with bytes after its end", "10 0D 0004 'MQTT' 04 02 003C 0000 00", MALFORMED],
    ["CONNECT with a will topic with a wildcard", "10 12 0004 'MQTT' 04 06 003C 0000 0002 'w#' 0000", TOPIC_NAME],
    ["CONNECT with an empty will topic", "10 10 0004 'MQTT' 04 06 003C 0000 0000 0000", TOPIC_NAME],
    ["CONNECT with a client id with U+0000", "10 0D 0004 'MQTT' 04 02 003C 0001 00", MALFORMED],
    ["CONNECT with a client id that is no UTF-8", "10 0D 0004 'MQTT' 04 02 003C 0001 FF", MALFORMED],
    ["CONNECT with a user name with a surrogate", "10 11 0004 'MQTT' 04 82 003C 0000 0003 EDA080", MALFORMED],
    ["CONNECT 5.0 with an overlong remaining length", "10 8D 00 0004 'MQTT' 05 02 003C 00 0000", MALFORMED],
    ["CONNECT 5.0 with receive maximum 0", "10 10 0004 'MQTT' 05 02 003C 03 21 0000 0000", PROTOCOL],
    ["CONNECT 5.0 with maximum packet size 0", "10 12 0004 'MQTT' 05 02 003C 05 27 00000000 0000", PROTOCOL],
    ["CONNECT 5.0 with request problem information 2", "10 0F 0004 'MQTT' 05 02 003C 02 17 02 0000", PROTOCOL],
    ["CONNECT 5.0 with request response information 2", "10 0F 0004 'MQTT' 05 02 003C 02 19 02 0000", PROTOCOL],
    ["CONNECT 5.0 with session expiry twice", "10 17 0004 'MQTT' 05 02 003C 0A 11 00000001 11 00000001 0000", PROTOCOL],
    ["CONNECT 5.0 with a property of PUBLISH", "10 0F 0004 'MQTT' 05 02 003C 02 01 01 0000", MALFORMED],
    ["CONNECT 5.0 with an unknown property", "10 0F 0004 'MQTT' 05 02 003C 02 7F 01 0000", MALFORMED],
    ["CONNECT 5.0 with a property length beyond its end", "10 0D 0004 'MQTT' 05 02 003C 7F 0000", MALFORMED],
    ["CONNECT 5.0 with a property beyond the property length", "10 0F 0004 'MQTT' 05 02 003C 02 11 00 0000", MALFORMED],
    ["CONNECT 5.0 with authentication data alone", "10 11 0004 'MQTT' 05 02 003C 04 16 0001 00 0000", PROTOCOL],
    [
      "CONNECT 5.0 with a will delay among its own properties",
      "10 12 0004 'MQTT' 05 02 003C 05 18 00000001 0000",
      MALFORMED,
    ],
    ["a will with payload format 2", "10 15 0004 'MQTT' 05 06 003C 00 0000 02 01 02 0001 'w' 0001 'x'", PROTOCOL],
    [
      "a will with a response topic with a wildcard",
      "10 17 0004 'MQTT' 05 06 003C 00 0000 04 08 0001 '+' 0001 'w' 0001 'x'",
      PROTOCOL,
    ],
  ],
);

accepted("client", undefined, [
  ["CONNECT 3.1 with flags in the fixed header", "1F 0E 0006 'MQIsdp' 03 02 003C 0000"],
  ["CONNECT 3.1 with the unused flag", "10 0E 0006 'MQIsdp' 03 03 003C 0000"],
  ["CONNECT 3.1.1 with an overlong remaining length", "10 8C 80 00 0004 'MQTT' 04 02 003C 0000"],
  ["CONNECT 5.0 with request problem information 0", "10 0F 0004 'MQTT' 05 02 003C 02 17 00 0000"],
]);

refused(
  "client",
  [4, 5],
  [
    ["packet type 0", "00 00", MALFORMED],
    ["a second CONNECT", "10 0C 0004 'MQTT' 04 02 003C 0000", PROTOCOL],
    ["CONNACK from a client", "20 02 00 00", PROTOCOL],
    ["SUBACK from a client", "90 03 0001 00", PROTOCOL],
    ["UNSUBACK from a client", "B0 02 0001", PROTOCOL],
    ["PINGRESP from a client", "D0 00", PROTOCOL],
    ["a remaining length of five bytes", "30 FF FF FF FF 01", MALFORMED],
    ["PUBLISH with QoS 3", "36 07 0001 't' 0001 'hi'", MALFORMED],
    ["PUBLISH with QoS 0 and DUP", "38 05 0001 't' 00 'h'", MALFORMED],
    ["PUBLISH with packet id 0", "32 06 0001 't' 0000 00", PROTOCOL],
    ["PUBLISH with the wildcard +", "30 06 0003 'a/+' 00", TOPIC_NAME],
    ["PUBLISH with the wildcard #", "30 04 0001 '#' 00", TOPIC_NAME],
    ["PUBLISH with a topic beyond its end", "30 03 0005 't'", MALFORMED],
    ["PUBLISH without a topic", "30 01 00", MALFORMED],
    ["PUBLISH without its packet id", "32 04 0001 't' 00", MALFORMED],
    ["PUBLISH with U+0000 in its topic", "30 06 0003 'a' 00 'b' 00", MALFORMED],
    ["PUBLISH with U+0000 beside other characters in its topic", "30 07 0004 C3A9 00 'b' 00", MALFORMED],
    ["PUBLISH with an overlong form of a slash", "30 05 0002 C0AF 00", MALFORMED],
    ["PUBLISH with an overlong form of U+0000", "30 05 0002 C080 00", MALFORMED],
    ["PUBLISH with a high surrogate", "30 06 0003 EDA080 00", MALFORMED],
    ["PUBLISH with a surrogate pair as two", "30 09 0006 EDA0BD EDB880 00", MALFORMED],
    ["PUBLISH with a cut character", "30 05 0002 E282 00", MALFORMED],
    ["PUBLISH with a character above U+10FFFF", "30 07 0004 F4908080 00", MALFORMED],
    ["PUBACK with flags", "41 02 0001", MALFORMED],
    ["PUBACK with packet id 0", "40 02 0000", PROTOCOL],
    ["PUBACK with one byte", "40 01 00", MALFORMED],
    ["PUBACK with nothing", "40 00", MALFORMED],
    ["PUBREC with flags", "52 02 0001", MALFORMED],
    ["PUBREL without its flags", "60 02 0001", MALFORMED],
    ["PUBREL with packet id 0", "62 02 0000", PROTOCOL],
    ["PUBCOMP with flags", "72 02 0001", MALFORMED],
    ["SUBSCRIBE without its flags", "80 06 0001 0001 't' 00", MALFORMED],
    ["SUBSCRIBE with packet id 0", "82 07 0000 00 0001 't' 00", PROTOCOL],
    ["SUBSCRIBE without options", "82 06 0001 00 0001 't'", MALFORMED],
    ["UNSUBSCRIBE without its flags", "A0 05 0001 0001 't'", MALFORMED],
    ["UNSUBSCRIBE with packet id 0", "A2 06 0000 00 0001 't'", PROTOCOL],
    ["PINGREQ with flags", "C1 00", MALFORMED],
    ["PINGREQ with bytes", "C0 01 00", MALFORMED],
    ["DISCONNECT with flags", "E2 00", MALFORMED],
  ],
);

refused(
  "client",
  [4],
  [
    ["PUBLISH with an empty topic", "30 03 0000 'x'", MALFORMED],
    ["PUBACK with a reason code", "40 03 0001 00", MALFORMED],
    ["PUBREL with a reason code", "62 03 0001 00", MALFORMED],
    ["SUBSCRIBE without a filter", "82 02 0001", PROTOCOL],
    ["SUBSCRIBE with QoS 3", "82 06 0001 0001 't' 03", PROTOCOL],
    ["SUBSCRIBE with options of MQTT 5", "82 06 0001 0001 't' 04", MALFORMED],
    ["UNSUBSCRIBE without a filter", "A2 02 0001", PROTOCOL],
    ["DISCONNECT with a reason code", "E0 01 00", MALFORMED],
    ["AUTH", "F0 00", MALFORMED],
  ],
);

accepted("client", 4, [["PUBLISH 3.1.1 with an overlong remaining length", "30 84 00 0001 't' 'x'"]]);

refused(
  "client",
  [5],
  [
    ["an overlong remaining length", "30 85 00 0001 't' 00 'x'", MALFORMED],
    ["an overlong remaining length of 0", "C0 80 00", MALFORMED],
    ["PUBLISH with neither topic nor alias", "30 04 0000 00 'x'", PROTOCOL],
    ["PUBLISH with topic alias 0", "30 07 0001 't' 03 23 0000", TOPIC_ALIAS],
    ["PUBLISH with two topic aliases", "30 0A 0001 't' 06 23 0001 23 0001", PROTOCOL],
    ["PUBLISH with payload format 2", "30 06 0001 't' 02 01 02", PROTOCOL],
    ["PUBLISH with expiry twice", "30 0E 0001 't' 0A 02 00000001 02 00000002", PROTOCOL],
    ["PUBLISH with content type twice", "30 0A 0001 't' 06 03 0000 03 0000", PROTOCOL],
    ["PUBLISH with correlation data twice", "30 0A 0001 't' 06 09 0000 09 0000", PROTOCOL],
    ["PUBLISH with response topic twice", "30 0C 0001 't' 08 08 0001 'r' 08 0001 'r'", PROTOCOL],
    ["PUBLISH with a wildcard in its response topic", "30 08 0001 't' 04 08 0001 '#'", PROTOCOL],
    ["PUBLISH with an empty response topic", "30 07 0001 't' 03 08 0000", PROTOCOL],
    ["PUBLISH from a client with a subscription identifier", "30 06 0001 't' 02 0B 01", PROTOCOL],
    ["PUBLISH with a reason string", "30 07 0001 't' 03 1F 0000", MALFORMED],
    ["PUBLISH with a will delay", "30 09 0001 't' 05 18 00000000", MALFORMED],
    ["PUBLISH with an overlong property length", "30 07 0001 't' 82 00 01 00", MALFORMED],
    ["PUBLISH with a property length of five bytes", "30 08 0001 't' 80 80 80 80 01", MALFORMED],
    ["PUBLISH with an overlong property identifier", "30 07 0001 't' 03 81 00 00", MALFORMED],
    ["PUBLISH without its property length", "30 03 0001 't'", MALFORMED],
    ["PUBLISH with a broken text in a user property", "30 0A 0001 't' 06 26 0001 FF 0000", MALFORMED],
    ["PUBLISH with half a user property", "30 08 0001 't' 04 26 0001 'a'", MALFORMED],
    ["PUBACK with a reason code of another packet", "40 03 0001 92", PROTOCOL],
    ["PUBACK with an unknown reason code", "40 03 0001 01", PROTOCOL],
    ["PUBREL with a reason code of another packet", "62 03 0001 97", PROTOCOL],
    ["PUBACK with bytes after its properties", "40 05 0001 00 00 00", MALFORMED],
    ["PUBACK with two reason strings", "40 0A 0001 00 06 1F 0000 1F 0000", PROTOCOL],
    ["PUBACK with a content type", "40 07 0001 00 03 03 0000", MALFORMED],
    ["SUBSCRIBE without a filter", "82 03 0001 00", PROTOCOL],
    ["SUBSCRIBE with subscription identifier 0", "82 09 0001 02 0B 00 0001 't' 00", PROTOCOL],
    ["SUBSCRIBE with two subscription identifiers", "82 0B 0001 04 0B 01 0B 02 0001 't' 00", PROTOCOL],
    ["SUBSCRIBE with reserved option 0x40", "82 07 0001 00 0001 't' 40", MALFORMED],
    ["SUBSCRIBE with reserved option 0x80", "82 07 0001 00 0001 't' 80", MALFORMED],
    ["SUBSCRIBE with maximum QoS 3", "82 07 0001 00 0001 't' 03", PROTOCOL],
    ["SUBSCRIBE with retain handling 3", "82 07 0001 00 0001 't' 30", PROTOCOL],
    ["SUBSCRIBE with No Local on a shared subscription", "82 10 0001 00 000A '$share/g/t' 04", PROTOCOL],
    ["UNSUBSCRIBE without a filter", "A2 03 0001 00", PROTOCOL],
    ["UNSUBSCRIBE with a subscription identifier", "A2 08 0001 02 0B 01 0001 't'", MALFORMED],
    ["DISCONNECT with an unknown reason code", "E0 01 01", PROTOCOL],
    ["DISCONNECT with session expiry twice", "E0 0C 00 0A 11 00000000 11 00000000", PROTOCOL],
    ["AUTH with flags", "F1 00", MALFORMED],
    ["AUTH with an unknown reason code", "F0 02 01 00", PROTOCOL],
    ["AUTH without an authentication method", "F0 02 18 00", PROTOCOL],
    ["AUTH with a reason code alone", "F0 01 00", MALFORMED],
  ],
);

refused(
  "server",
  [4, 5],
  [
    ["CONNECT from a server", "10 0C 0004 'MQTT' 04 02 003C 0000", PROTOCOL],
    ["SUBSCRIBE from a server", "82 06 0001 0001 't' 00", PROTOCOL],
    ["UNSUBSCRIBE from a server", "A2 05 0001 0001 't'", PROTOCOL],
    ["PINGREQ from a server", "C0 00", PROTOCOL],
    ["CONNACK with reserved flags", "20 03 02 00 00", MALFORMED],
    ["CONNACK with one byte", "20 01 00", MALFORMED],
    ["SUBACK with packet id 0", "90 04 0000 00 00", PROTOCOL],
    ["SUBACK without a code", "90 02 0001", MALFORMED],
  ],
);

refused(
  "server",
  [4],
  [
    ["CONNACK with return code 6", "20 02 00 06", PROTOCOL],
    ["SUBACK with return code 3", "90 03 0001 03", PROTOCOL],
    ["UNSUBACK with reason codes", "B0 03 0001 00", MALFORMED],
  ],
);

refused(
  "server",
  [5],
  [
    ["CONNACK with a return code of MQTT 3.1.1", "20 03 00 05 00", PROTOCOL],
    ["CONNACK with maximum QoS 2", "20 05 00 00 02 24 02", PROTOCOL],
    ["CONNACK with receive maximum 0", "20 06 00 00 03 21 0000", PROTOCOL],
    ["CONNACK with retain available 2", "20 05 00 00 02 25 02", PROTOCOL],
    ["PUBLISH with subscription identifier 0", "30 06 0001 't' 02 0B 00", PROTOCOL],
    ["SUBACK with a reason code of another packet", "90 04 0001 00 92", PROTOCOL],
    ["UNSUBACK without a code", "B0 03 0001 00", MALFORMED],
  ],
);

accepted("server", 5, [["PUBLISH from a server with a subscription identifier", "30 06 0001 't' 02 0B 01"]]);

test("the error of a CONNECT tells what the answer needs", () => {
  const unknownLevel = errorOf(bytesOf("10 0C 0004 'MQTT' 06 02 003C 0000"), {});
  assert.equal(unknownLevel?.packetType, "connect");
  assert.equal(unknownLevel?.version, undefined);
  assert.equal(unknownLevel?.protocolLevel, 6);
  assert.match(unknownLevel?.message ?? "", /"MQTT" version 6/);
  const inVersion4 = errorOf(bytesOf("10 0C 0004 'MQTT' 04 03 003C 0000"), {});
  assert.equal(inVersion4?.packetType, "connect");
  assert.equal(inVersion4?.version, 4);
  const inVersion5 = errorOf(bytesOf("10 10 0004 'MQTT' 05 02 003C 03 21 0000 0000"), {});
  assert.equal(inVersion5?.version, 5);
  assert.equal(inVersion5?.protocolLevel, undefined);
  const publish = errorOf(bytesOf("36 07 0001 't' 0001 'hi'"), { version: 5 });
  assert.equal(publish?.packetType, "publish");
  assert.equal(errorOf(bytesOf("00 00"), {})?.packetType, undefined);
});

test("packets before the broken one come out, and nothing after it", () => {
  const decoder = new PacketDecoder({ version: 4 });
  decoder.push(bytesOf("C0 00 36 07 0001 't' 0001 'hi' C0 00"));
  assert.deepEqual(decoder.next(), { type: "pingreq" });
  const broken = { reasonCode: MALFORMED };
  assert.throws(() => decoder.next(), broken);
  decoder.push(bytesOf("C0 00"));
  assert.throws(() => decoder.next(), broken);
  assert.equal(decoder.bufferedBytes, 0);
});

test("a packet above the limit is refused before its body arrives", () => {
  const limit = { version: 4, maxPacketSize: 100 } as const;
  assert.equal(errorOf(bytesOf("30 62"), limit), undefined, "98 + 2 bytes");
  assert.equal(errorOf(bytesOf("30 63"), limit)?.reasonCode, TOO_LARGE);
  assert.equal(errorOf(bytesOf("30 63"), limit)?.code, "MQTT_PACKET_TOO_LARGE");
  assert.equal(errorOf(bytesOf("30 FFFFFF7F"), limit)?.reasonCode, TOO_LARGE);
  assert.equal(errorOf(bytesOf("10 63"), { maxPacketSize: 100 })?.packetType, "connect");
});

test("the default limit is 1 MiB", () => {
  assert.equal(errorOf(bytesOf("30 FCFF3F"), { version: 4 }), undefined, "1,048,572 + 4 bytes");
  assert.equal(errorOf(bytesOf("30 FDFF3F"), { version: 4 })?.reasonCode, TOO_LARGE, "one more");
});

test("no more than one packet is buffered", () => {
  const decoder = new PacketDecoder({ version: 4, maxPacketSize: 1_000 });
  const bytes = Buffer.concat([bytesOf("30 E507 0001 't'"), Buffer.alloc(1_000 - 3 - 4)]);
  assert.equal(bytes.length, 999);
  decoder.push(bytes);
  assert.equal(decoder.next(), undefined);
  assert.equal(decoder.bufferedBytes, 999);
  decoder.push(Buffer.concat([Buffer.alloc(1), bytesOf("C0 00")]));
  assert.equal(decoder.next()?.type, "publish");
  assert.equal(decoder.next()?.type, "pingreq");
  assert.equal(decoder.bufferedBytes, 0);
});
