// Tokens end when they are not used, and there are never too many.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Tokens } from "../../../src/management/accounts/tokens.ts";

function start() {
  const clock = { now: 5 };
  return { clock, tokens: new Tokens({ lifetime: 60, now: () => clock.now }) };
}

test("a token is good for its time from its last use", () => {
  const { clock, tokens } = start();
  const token = tokens.issue("a");
  for (let use = 0; use < 3; use++) {
    clock.now += 59_999;
    assert.equal(tokens.userOf(token), "a");
  }
  clock.now += 60_000;
  assert.throws(() => tokens.userOf(token), { code: "TOKEN_TIME_OUT", status: 401 });
  assert.throws(() => tokens.userOf(token), { code: "BAD_TOKEN", status: 401 });
  assert.throws(() => tokens.userOf(""), { code: "BAD_TOKEN" });
});

test("one is revoked, or all of a user", () => {
  const { tokens } = start();
  const [first, second, other] = [tokens.issue("a"), tokens.issue("a"), tokens.issue("b")] as const;
  assert.equal(tokens.revoke(first), true);
  assert.equal(tokens.revoke(first), false);
  assert.throws(() => tokens.userOf(first), { code: "BAD_TOKEN" });
  assert.equal(tokens.userOf(second), "a");
  tokens.revokeAll("a");
  assert.throws(() => tokens.userOf(second), { code: "BAD_TOKEN" });
  assert.equal(tokens.userOf(other), "b");
});

test("the oldest of a user, and of all, makes room; those that have ended are forgotten", () => {
  const { clock, tokens } = start();
  const first = tokens.issue("a");
  for (let at = 0; at < 100; at++) tokens.issue("a");
  assert.equal(tokens.size, 100);
  assert.throws(() => tokens.userOf(first), { code: "BAD_TOKEN" });
  for (let at = 0; at < 9950; at++) tokens.issue(`user${at}`);
  assert.equal(tokens.size, 10_000);
  clock.now += 60_000;
  tokens.issue("b");
  assert.equal(tokens.size, 1);
});
