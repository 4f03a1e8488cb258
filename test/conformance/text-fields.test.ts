// Every text of every packet that a client sends: ill-formed UTF-8 and U+0000 are refused in each of them, and all
// other characters are taken, a byte order mark, control characters and non-characters among them (1.5.4).

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ReasonCode } from "../../src/mqtt/reason-code.ts";
import { startBroker } from "../broker/broker-fixture.ts";
import { RawClient } from "../broker/raw-client.ts";
import { type Random, seededRandom } from "../mqtt/seed.ts";
import { type CaseVersion, hexConnect, hexPacket, hexText, sendHex } from "./conformance-case.ts";

/** Of each kind and for each field. */
const SAMPLES = 8;
/** Both a loop for short texts and the runtime's own check are reached. */
const MAX_LENGTH = 60;

const CHARACTERS = [
  "a",
  "~",
  "é",
  "漢",
  "𝄞",
  "\ufeff",
  "\uffff",
  "\ufdd0",
  "\u{1fffe}",
  "\u{10ffff}",
  "\u0001",
  "\u0085",
];

/** The first byte, and the lowest and highest value of those that follow. */
const ILL_FORMED: readonly (readonly [first: string, ...following: (readonly [low: number, high: number])[]])[] = [
  ["00"],
  ["ed", [0xa0, 0xbf], [0x80, 0xbf]],
  ["c0", [0x80, 0xbf]],
  ["c1", [0x80, 0xbf]],
  ["e0", [0x80, 0x9f], [0x80, 0xbf]],
  ["f0", [0x80, 0x8f], [0x80, 0xbf], [0x80, 0xbf]],
  ["f4", [0x90, 0xbf], [0x80, 0xbf], [0x80, 0xbf]],
  ["f5", [0x80, 0xbf], [0x80, 0xbf], [0x80, 0xbf]],
  ["ff"],
  ["bf"],
  ["c3"],
  ["e2", [0x82, 0x82]],
  ["f0", [0x9f, 0x9f], [0x98, 0x98]],
];

interface Field {
  readonly name: string;
  /** The packet in hex, with the text (length and bytes) in its place. */
  packet(text: string): string;
  /** The Reason Code of the CONNACK or DISCONNECT that answers valid text; absent: the connection goes on. */
  readonly answer?: ReasonCode;
}

/** Where properties stand. */
interface Place {
  readonly owner: string;
  /** The packet in hex, with the properties (length and bytes) in their place. */
  packet(properties: string): string;
  /** Those that are text, by their identifier in hex. */
  readonly texts: readonly { readonly id: string; readonly name: string }[];
  readonly answer?: ReasonCode;
  readonly withoutUserProperties?: boolean;
}

const { Success, BadAuthenticationMethod, ProtocolError } = ReasonCode;
const METHOD = { id: "15", name: "Authentication Method" };
const REASON = { id: "1f", name: "Reason String" };
const OF_MESSAGES = [
  { id: "03", name: "Content Type" },
  { id: "08", name: "Response Topic" },
];

const PLACES: readonly Place[] = [
  { owner: "CONNECT", packet: (properties) => hexConnect(5, { properties }), texts: [] },
  {
    owner: "CONNECT",
    packet: (properties) => hexConnect(5, { properties }),
    texts: [METHOD],
    answer: BadAuthenticationMethod,
    withoutUserProperties: true,
  },
  { owner: "will", packet: (properties) => hexWill(5, hexText("t"), properties), texts: OF_MESSAGES },
  { owner: "PUBLISH", packet: (properties) => hexPacket("30", hexText("t"), properties), texts: OF_MESSAGES },
  { owner: "PUBACK", packet: (properties) => hexPacket("40", "0001", "00", properties), texts: [REASON] },
  { owner: "PUBREC", packet: (properties) => hexPacket("50", "0001", "80", properties), texts: [REASON] },
  { owner: "PUBREL", packet: (properties) => hexPacket("62", "0001", "00", properties), texts: [REASON] },
  { owner: "PUBCOMP", packet: (properties) => hexPacket("70", "0001", "00", properties), texts: [REASON] },
  { owner: "SUBSCRIBE", packet: (properties) => hexPacket("82", "0001", properties, hexText("t"), "00"), texts: [] },
  { owner: "UNSUBSCRIBE", packet: (properties) => hexPacket("a2", "0001", properties, hexText("t")), texts: [] },
  { owner: "DISCONNECT", packet: (properties) => hexPacket("e0", "00", properties), texts: [REASON], answer: Success },
  {
    owner: "AUTH",
    packet: (properties) => hexPacket("f0", "18", properties),
    texts: [METHOD],
    answer: ProtocolError,
    withoutUserProperties: true,
  },
  { owner: "AUTH", packet: (properties) => hexPacket("f0", "00", properties), texts: [REASON], answer: ProtocolError },
];

function hexWill(version: CaseVersion, topic: string, properties: string): string {
  return hexConnect(version, { flags: "06", more: `${properties}${topic}${hexText("x")}` });
}

function fieldsOf(version: CaseVersion): Field[] {
  const isV5 = version === 5;
  const none = isV5 ? "00" : "";
  const t = hexText("t");
  const fields: Field[] = [
    { name: "CONNECT: Client Identifier", packet: (text) => hexConnect(version, { clientId: text }) },
    { name: "CONNECT: Will Topic", packet: (text) => hexWill(version, text, none) },
    { name: "CONNECT: User Name", packet: (text) => hexConnect(version, { flags: "82", more: text }) },
    { name: "PUBLISH: Topic Name", packet: (text) => hexPacket("30", text, none) },
    { name: "SUBSCRIBE: Topic Filter", packet: (text) => hexPacket("82", "0001", none, text, "00") },
    {
      name: "SUBSCRIBE: second Topic Filter",
      packet: (text) => hexPacket("82", "0001", none, t, "00", text, "00"),
    },
    { name: "UNSUBSCRIBE: Topic Filter", packet: (text) => hexPacket("a2", "0001", none, text) },
  ];
  if (!isV5) return fields;
  for (const { owner, packet, texts, answer, withoutUserProperties } of PLACES) {
    const add = (name: string, property: (text: string) => string): void => {
      fields.push({ name: `${owner}: ${name}`, packet: (text) => packet(withLength(property(text))), answer });
    };
    for (const { id, name } of texts) add(name, (text) => id + text);
    if (withoutUserProperties) continue;
    add("User Property, name", (text) => `26${text}${hexText("v")}`);
    add("User Property, value", (text) => `26${hexText("k")}${text}`);
  }
  return fields;
}

/** Behind their length, which fits in two bytes. */
function withLength(properties: string): string {
  const length = properties.length / 2;
  const low = (length % 128) + (length > 127 ? 128 : 0);
  return (length > 127 ? [low, Math.floor(length / 128)] : [low]).map(hexByte).join("") + properties;
}

function hexByte(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

function withTextLength(bytes: string): string {
  return (bytes.length / 2).toString(16).padStart(4, "0") + bytes;
}

function validText(random: Random): string {
  const length = 1 + random.below(MAX_LENGTH / 4);
  return Buffer.from(Array.from({ length }, () => random.pick(CHARACTERS)).join("")).toString("hex");
}

function invalidText(random: Random): string {
  const [first, ...following] = random.pick(ILL_FORMED);
  const bytes = first + following.map(([low, high]) => hexByte(low + random.below(high - low + 1))).join("");
  const before = random.chance(0.7) ? validText(random) : "";
  // A letter, so that nothing that follows completes what was cut short.
  const behind = random.chance(0.7) ? `61${validText(random)}` : "";
  return before + bytes + behind;
}

async function open(t: TestContext, port: number, version: CaseVersion): Promise<RawClient> {
  const client = await RawClient.open(port, version);
  t.after(() => client.socket.destroy());
  return client;
}

for (const version of [3, 4, 5] as const) {
  const fields = fieldsOf(version);
  test(`MQTT ${version}: ${fields.length} fields take every valid text, and no other`, async (t) => {
    const random = seededRandom(`texts of MQTT ${version}`);
    const { port, connect } = await startBroker(t, { withoutHooks: true });
    for (const { name, packet, answer } of fields) {
      const isConnect = packet("0000").startsWith("10");
      const client = (): Promise<RawClient> => (isConnect ? open(t, port, version) : connect("c", { version }));
      for (let sample = 0; sample < SAMPLES; sample++) {
        const valid = validText(random);
        const one = await client();
        sendHex(one, packet(withTextLength(valid)));
        const what = `${name}: ${valid}`;
        if (isConnect) assert.equal((await one.next("connack")).reasonCode, answer ?? 0, what);
        else if (answer === ReasonCode.Success) await one.closed();
        else if (answer !== undefined) assert.equal((await one.next("disconnect")).reasonCode, answer, what);
        else await one.ping();
        assert.deepEqual(one.waiting, [], what);
        one.socket.destroy();

        const invalid = invalidText(random);
        const other = await client();
        sendHex(other, packet(withTextLength(invalid)));
        if (version === 5) {
          const { reasonCode } = await other.next(isConnect ? "connack" : "disconnect");
          assert.equal(reasonCode, ReasonCode.MalformedPacket, `${name}: ${invalid}`);
        }
        await other.closed();
        assert.deepEqual(other.waiting, [], `${name}: ${invalid}`);
      }
    }
  });
}
