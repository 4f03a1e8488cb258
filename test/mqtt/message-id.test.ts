// Message ids: their layout, and that a generator's ids rise whatever the clock does.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  fromBytes,
  isMessageId,
  MessageIdError,
  MessageIdGenerator,
  parseMessageId,
  timestampOf,
  toBytes,
} from "../../src/mqtt/message-id.ts";
import { MESSAGE_ID_VECTORS } from "./message-id-vectors.ts";

const FINGERPRINT = Buffer.from("A1B2C3D4E5F6", "hex");

for (const vector of MESSAGE_ID_VECTORS) {
  test(`${vector.hex} as bytes, time and number`, () => {
    const bytes = toBytes(vector.hex);
    assert.equal(bytes.length, 16);
    assert.equal(fromBytes(bytes), vector.hex);
    assert.equal(timestampOf(vector.hex), vector.timestamp);
    assert.equal(BigInt(`0x${Buffer.from(bytes).toString("hex")}`).toString(), vector.decimal);
    assert.equal(parseMessageId(vector.hex.toLowerCase()), vector.hex);
    assert.equal(isMessageId(vector.hex), true);
  });
}

test("what is no message id is refused", () => {
  const invalid = [
    "",
    "0",
    "0".repeat(31),
    "0".repeat(33),
    `${"0".repeat(31)}G`,
    ` ${"0".repeat(31)}`,
    `${"0".repeat(32)}\n`,
  ];
  for (const text of invalid) {
    assert.equal(isMessageId(text), false);
    assert.throws(() => parseMessageId(text), { code: "MESSAGE_ID_INVALID" });
    assert.throws(() => toBytes(text), MessageIdError);
    assert.throws(() => timestampOf(text), MessageIdError);
    assert.throws(() => new MessageIdGenerator().advancePast(text), MessageIdError);
  }
  assert.equal(isMessageId("a".repeat(32)), false, "lower case is not the form used inside");
  for (const length of [0, 15, 17]) assert.throws(() => fromBytes(new Uint8Array(length)), MessageIdError);
  assert.throws(() => new MessageIdGenerator({ fingerprint: new Uint8Array(5) }), MessageIdError);
});

test("an id holds time, fingerprint and counter", () => {
  const generator = new MessageIdGenerator({ now: () => 1757201504705808n, fingerprint: FINGERPRINT });
  assert.equal(generator.next(), "00063E2A5B7C9D10A1B2C3D4E5F60000");
  assert.equal(generator.next(), "00063E2A5B7C9D11A1B2C3D4E5F60001");
});

test("the default clock is the system's, the default fingerprint random", () => {
  const before = BigInt(Date.now()) * 1000n;
  const [one, other] = [new MessageIdGenerator().next(), new MessageIdGenerator().next()];
  const after = BigInt(Date.now()) * 1000n;
  assert.ok(timestampOf(one) >= before && timestampOf(one) <= after);
  assert.notEqual(one.slice(16, 28), other.slice(16, 28));
});

test("the counter wraps after 65,536 ids and the ids still rise", () => {
  const generator = new MessageIdGenerator({ now: () => 5, fingerprint: FINGERPRINT });
  let last = generator.next();
  assert.equal(last.slice(28), "0000");
  for (let count = 1; count <= 70_000; count++) {
    const id = generator.next();
    assert.ok(id > last);
    if (count === 65_535) assert.equal(id.slice(28), "FFFF");
    if (count === 65_536) assert.equal(id.slice(28), "0000");
    last = id;
  }
});

test("ids rise while the clock steps back, and follow it again once it has caught up", () => {
  let now = 1_000_000;
  const generator = new MessageIdGenerator({ now: () => now });
  const first = generator.next();
  now = 10;
  const second = generator.next();
  assert.ok(second > first);
  assert.equal(timestampOf(second), 1_000_001n);
  now = 2_000_000;
  assert.equal(timestampOf(generator.next()), 2_000_000n);
});

test("ids rise over the carry from the low 24 bits of the time", () => {
  const generator = new MessageIdGenerator({ now: () => 2 ** 24 - 2, fingerprint: FINGERPRINT });
  const times = Array.from({ length: 4 }, () => generator.next().slice(0, 16));
  assert.deepEqual(times, ["0000000000FFFFFE", "0000000000FFFFFF", "0000000001000000", "0000000001000001"]);
});

test("advancePast puts later ids above a stored one", () => {
  const generator = new MessageIdGenerator({ now: () => 1_000 });
  const stored = `${(5_000).toString(16).toUpperCase().padStart(16, "0")}FFFFFFFFFFFFFFFF`;
  generator.advancePast(stored);
  assert.ok(generator.next() > stored);
  const reached = generator.next();
  generator.advancePast("0".repeat(32));
  assert.ok(generator.next() > reached, "an older id changes nothing");
});

test("advancePast refuses an id that leaves no room above it", () => {
  const generator = new MessageIdGenerator();
  assert.throws(() => generator.advancePast("F".repeat(32)), { code: "MESSAGE_ID_INVALID" });
  assert.ok(timestampOf(generator.next()) <= BigInt(Date.now()) * 1000n);
});
