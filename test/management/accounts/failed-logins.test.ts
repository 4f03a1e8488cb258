// Who fails too often is locked out: an account from an address, an address, an account; and what is counted is bounded.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Attempt, FailedLogins } from "../../../src/management/accounts/failed-logins.ts";
import { ApiError } from "../../../src/management/api-error.ts";

const OPTIONS = { maxAttempts: 3, interval: 60, lockDuration: 100 };

function start() {
  const clock = { now: 1000 };
  return { clock, logins: new FailedLogins(OPTIONS, () => clock.now) };
}

const user = (address: string, name: string): Attempt => ({ address, kind: "user", name, isKnown: true });
const nobody = (address: string, name: string): Attempt => ({ ...user(address, name), isKnown: false });

function fail(logins: FailedLogins, attempt: Attempt, times: number): void {
  for (let time = 0; time < times; time++) logins.failed(attempt);
}

function assertLocked(logins: FailedLogins, attempt: Attempt): void {
  assert.throws(
    () => logins.check(attempt),
    (error: unknown) => error instanceof ApiError && error.status === 401 && error.code === "LOGIN_LOCKED",
    `${attempt.name} from ${attempt.address}`,
  );
}

test("an account is locked for an address after so many failures, for a while, and for no other", () => {
  const { clock, logins } = start();
  const attempt = user("10.0.0.1", "a");
  fail(logins, attempt, 2);
  logins.check(attempt);
  fail(logins, attempt, 1);
  assertLocked(logins, attempt);
  assertLocked(logins, user("::ffff:10.0.0.1", "a"));
  logins.check(user("10.0.0.1", "b"));
  logins.check(user("10.0.0.2", "a"));
  logins.check({ ...attempt, kind: "key" });
  clock.now += 99_999;
  // What comes meanwhile does not make it longer.
  fail(logins, attempt, 5);
  assertLocked(logins, attempt);
  clock.now += 1;
  logins.check(attempt);
  // The count begins anew.
  fail(logins, attempt, 2);
  logins.check(attempt);
});

test("one that does not exist is locked alike", () => {
  const { logins } = start();
  fail(logins, nobody("10.0.0.1", "x"), 3);
  assertLocked(logins, nobody("10.0.0.1", "x"));
});

test("failures of long ago, before a success, and of which nobody knows do not count", () => {
  const { clock, logins } = start();
  const attempt = user("10.0.0.1", "a");
  fail(logins, attempt, 2);
  clock.now += 60_000;
  fail(logins, attempt, 2);
  logins.check(attempt);
  logins.begin(attempt);
  assertLocked(logins, attempt);
  logins.succeeded(attempt);
  fail(logins, attempt, 2);
  logins.check(attempt);
  for (let time = 0; time < 20; time++) {
    logins.begin(attempt);
    logins.cancelled(attempt);
  }
  logins.check(attempt);
  // Those before are not forgotten.
  logins.begin(attempt);
  assertLocked(logins, attempt);
});

test("an address with many accounts and an account from many addresses are locked too, and successes are no part of it", () => {
  const { logins } = start();
  for (let at = 0; at < 100; at++) {
    logins.begin(user("10.0.0.9", "good"));
    logins.succeeded(user("10.0.0.9", "good"));
  }
  for (let at = 0; at < 29; at++) fail(logins, nobody("10.0.0.1", `account${at}`), 1);
  logins.check(user("10.0.0.1", "new"));
  fail(logins, nobody("10.0.0.1", "account29"), 1);
  assertLocked(logins, user("10.0.0.1", "new"));
  logins.check(user("10.0.0.2", "new"));
  for (let at = 0; at < 30; at++) fail(logins, user(`10.0.1.${at}`, "admin"), 1);
  assertLocked(logins, user("10.0.2.1", "admin"));
  logins.check(user("10.0.2.1", "another"));
  logins.unlock("admin");
  logins.check(user("10.0.2.1", "admin"));
  logins.check(user("10.0.0.1", "admin"));
});

test("IPv6 addresses of one network are one", () => {
  const { logins } = start();
  fail(logins, user("2001:db8:1:2::5", "a"), 2);
  fail(logins, user("2001:db8:1:2:3:4:5:6", "a"), 1);
  assertLocked(logins, user("2001:db8:1:2::", "a"));
  logins.check(user("2001:db8:1:3::5", "a"));
});

test("what is counted is bounded, however many come and however long their names are, and no flood wipes a lock out", () => {
  const { logins } = start();
  for (let at = 0; at < 30; at++) fail(logins, user(`10.0.1.${at}`, "admin"), 1);
  fail(logins, user("10.0.0.7", "x".repeat(20_000)), 3);
  for (let at = 0; at < 12_000; at++) logins.failed(nobody(`10.1.${at >> 8}.${at & 255}`, `a${at}`));
  assert.equal(logins.size, 20_002);
  assertLocked(logins, user("10.0.0.7", "x".repeat(20_000)));
  assertLocked(logins, user("10.9.9.9", "admin"));
  // Where all are locked, the oldest makes room.
  for (let at = 0; at < 10_500; at++) fail(logins, nobody(`10.2.${at >> 8}.${at & 255}`, "b"), 3);
  assert.equal(logins.size, 20_002);
  assertLocked(logins, user("10.9.9.9", "admin"));
});
