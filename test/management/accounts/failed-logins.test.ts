// Who fails too often is locked out: an account from an address, an address, an account; and what is counted is bounded.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FailedLogins } from "../../../src/management/accounts/failed-logins.ts";
import { ApiError } from "../../../src/management/api-error.ts";

const OPTIONS = { maxAttempts: 3, interval: 60, lockDuration: 100 };

function start() {
  const clock = { now: 1000 };
  return { clock, logins: new FailedLogins(OPTIONS, () => clock.now) };
}

function fail(logins: FailedLogins, address: string, account: string, times: number): void {
  for (let time = 0; time < times; time++) logins.failed(address, account);
}

function assertLocked(logins: FailedLogins, address: string, account: string): void {
  assert.throws(
    () => logins.check(address, account),
    (error: unknown) => error instanceof ApiError && error.status === 401 && error.code === "LOGIN_LOCKED",
    `${account} from ${address}`,
  );
}

test("an account is locked for an address after so many failures, for a while, and for no other", () => {
  const { clock, logins } = start();
  fail(logins, "10.0.0.1", "a", 2);
  logins.check("10.0.0.1", "a");
  fail(logins, "10.0.0.1", "a", 1);
  assertLocked(logins, "10.0.0.1", "a");
  logins.check("10.0.0.1", "b");
  logins.check("10.0.0.2", "a");
  clock.now += 99_999;
  assertLocked(logins, "10.0.0.1", "a");
  clock.now += 1;
  logins.check("10.0.0.1", "a");
  // The count begins anew.
  fail(logins, "10.0.0.1", "a", 2);
  logins.check("10.0.0.1", "a");
});

test("failures of long ago and before a success do not count", () => {
  const { clock, logins } = start();
  fail(logins, "10.0.0.1", "a", 2);
  clock.now += 60_000;
  fail(logins, "10.0.0.1", "a", 2);
  logins.check("10.0.0.1", "a");
  logins.begin("10.0.0.1", "a");
  assertLocked(logins, "10.0.0.1", "a");
  logins.succeeded("10.0.0.1", "a");
  fail(logins, "10.0.0.1", "a", 2);
  logins.check("10.0.0.1", "a");
});

test("an address with many accounts and an account from many addresses are locked too, and successes are no part of it", () => {
  const { logins } = start();
  for (let at = 0; at < 100; at++) {
    logins.begin("10.0.0.9", "good");
    logins.succeeded("10.0.0.9", "good");
  }
  for (let at = 0; at < 29; at++) fail(logins, "10.0.0.1", `account${at}`, 1);
  logins.check("10.0.0.1", "new");
  fail(logins, "10.0.0.1", "account29", 1);
  assertLocked(logins, "10.0.0.1", "new");
  logins.check("10.0.0.2", "new");
  for (let at = 0; at < 30; at++) fail(logins, `10.0.1.${at}`, "admin", 1);
  assertLocked(logins, "10.0.2.1", "admin");
  logins.check("10.0.2.1", "another");
  logins.unlock("admin");
  logins.check("10.0.2.1", "admin");
});

test("IPv6 addresses of one network are one", () => {
  const { logins } = start();
  fail(logins, "2001:db8:1:2::5", "a", 2);
  fail(logins, "2001:db8:1:2:3:4:5:6", "a", 1);
  assertLocked(logins, "2001:db8:1:2::", "a");
  logins.check("2001:db8:1:3::5", "a");
});

test("what is counted is bounded, however many come and however long their names are", () => {
  const { logins } = start();
  for (let at = 0; at < 12_000; at++) logins.failed(`10.0.${at >> 8}.${at & 255}`, `a${at}`);
  assert.equal(logins.size, 10_000);
  fail(logins, "10.9.9.9", "x".repeat(20_000), 3);
  assertLocked(logins, "10.9.9.9", "x".repeat(20_000));
  assert.equal(logins.size, 10_000);
});
