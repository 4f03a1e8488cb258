// base62 against vectors that the Erlang modules of EMQX put out.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Base62Error, decodeBase62, encodeBase62, fromB62, toB62 } from "../../src/mqtt/base62.ts";
import { fromBytes } from "../../src/mqtt/message-id.ts";
import { MESSAGE_ID_VECTORS } from "./message-id-vectors.ts";
import { seededRandom } from "./seed.ts";

const RAW_VECTORS: readonly [hex: string, text: string][] = [
  ["", ""],
  ["00", "AA"],
  ["FF", "9CD"],
  ["61", "YB"],
  ["6162", "YWC"],
  ["616263", "YWJj"],
  ["61626364", "YWJjZA"],
  ["FFFF", "9C9CP"],
  ["FFFFFF", "9C9C9C9C"],
  ["FFFFFFFF", "9C9C9C9C9CD"],
  ["F7DF7D", "9A9A9A9A"],
  ["FBEFBE", "9B9B9B9B"],
  ["48656C6C6F2C204D51545421", "SGVsbG8sIE1RVFQh"],
];

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex").toUpperCase();

for (const [hex, text] of RAW_VECTORS) {
  test(`base62 of ${hex || "nothing"} is ${text || "nothing"}`, () => {
    assert.equal(encodeBase62(Buffer.from(hex, "hex")), text);
    assert.equal(hexOf(decodeBase62(text)), hex);
  });
}

for (const vector of MESSAGE_ID_VECTORS) {
  test(`base62 of the message id ${vector.hex}`, () => {
    assert.equal(toB62(vector.hex), vector.b62);
    assert.equal(fromB62(vector.b62), vector.hex);
    assert.equal(toB62(vector.hex).length, vector.b62Length);
    assert.equal(encodeBase62(vector.decimal), vector.b62);
    assert.equal(encodeBase62(Buffer.from(vector.hex, "hex")), vector.rawB62);
    assert.equal(vector.rawB62.length, vector.rawB62Length);
    assert.equal(hexOf(decodeBase62(vector.rawB62)), vector.hex);
  });
}

test("text is encoded as UTF-8", () => {
  assert.equal(encodeBase62("é"), encodeBase62(Buffer.from([0xc3, 0xa9])));
});

for (const [text, hex] of [
  ["A", "00"],
  ["AB", "01"],
  ["ABC", "0012"],
  ["ABCD", "001083"],
] as const) {
  test(`decoding ${text} is as lenient as the original`, () => {
    assert.equal(hexOf(decodeBase62(text)), hex);
  });
}

test("9D counts as 0, and any character may follow a 9", () => {
  assert.equal(hexOf(decodeBase62("AA9DA")), hexOf(decodeBase62("AAAA")));
  assert.equal(hexOf(decodeBase62("90AAA")), hexOf(decodeBase62("sAAA"))); // 61 + "0" - "A" = 44
});

// After the crash cases of the original, 6, 12 and 18 bits that are no whole bytes.
for (const text of ["9", "A9", "-", "A-", "9AA9", "9A", "9A9A", "AA9D", "é", "AA AA"]) {
  test(`decoding ${text} is refused`, () => {
    assert.throws(() => decodeBase62(text), { code: "BASE62_INVALID" });
  });
}

test("text that holds no message id is refused", () => {
  for (const text of ["", encodeBase62("-1"), encodeBase62("12x"), encodeBase62("+5"), "9A9A9A9A"]) {
    assert.throws(() => fromB62(text), Base62Error, text);
  }
  assert.throws(() => fromB62(encodeBase62((2n ** 128n).toString())), Base62Error);
});

test("10,000 random byte strings come back, and so do 10,000 ids", () => {
  const random = seededRandom("base62");
  for (let round = 0; round < 10_000; round++) {
    const bytes = random.bytes(random.below(40));
    assert.deepEqual(Buffer.from(decodeBase62(encodeBase62(bytes))), bytes);
    const id = fromBytes(random.bytes(16));
    assert.equal(fromB62(toB62(id)), id);
  }
});
