// Why an address cannot be listened on, in words.

import assert from "node:assert/strict";
import test from "node:test";
import { addressText } from "../../src/mqtt/address-text.ts";
import { listenFailure } from "../../src/mqtt/listen.ts";

const CASES: readonly [code: string, hint: RegExp][] = [
  ["EADDRINUSE", /: stop what listens there, or choose another port\.$/],
  ["EACCES", /: choose a port that this user may listen on, from 1024\.$/],
  ["EADDRNOTAVAIL", /: that is no address of this machine: choose another\.$/],
  ["ENOTFOUND", /: no address is known for that name: correct it, or choose an address of this machine\.$/],
  ["EAI_AGAIN", /: the name cannot be looked up now: choose an address of this machine, or try again\.$/],
  ["EINVAL", /: choose another address or port\.$/],
];

for (const [code, hint] of CASES) {
  test(`${code} is told with what to do`, () => {
    const error = Object.assign(new Error("refused"), { code });
    const sentence = listenFailure({ host: "::1", port: 80 }, "listeners.tcp.default", error);
    assert.ok(sentence.startsWith(`Cannot listen on [::1]:80 for listeners.tcp.default (${code}): `), sentence);
    assert.match(sentence, hint);
  });
}

test("an IPv6 address stands in brackets, where a port follows", () => {
  assert.equal(addressText({ host: "::1", port: 1883 }), "[::1]:1883");
  assert.equal(addressText({ host: "127.0.0.1", port: 1883 }), "127.0.0.1:1883");
});
