// Permissions to install end by themselves, and there are no more than a hundred.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AllowedPackages } from "../../../src/management/plugins/allowed-packages.ts";

test("a permission holds for five minutes, is renewed by another one, and can be taken back", () => {
  let now = 0;
  const allowed = new AllowedPackages(() => now);
  allowed.allow("a-1");
  now = 299_999;
  assert.equal(allowed.has("a-1"), true);
  assert.equal(allowed.has("a-2"), false);
  now = 300_000;
  assert.equal(allowed.has("a-1"), false);
  allowed.allow("a-1");
  now = 400_000;
  allowed.allow("a-1");
  now = 650_000;
  assert.equal(allowed.has("a-1"), true);
  allowed.disallow("a-1");
  assert.equal(allowed.has("a-1"), false);
});

test("the oldest goes where there are too many", () => {
  const allowed = new AllowedPackages(() => 0);
  for (let at = 0; at < 101; at++) allowed.allow(`a-${at}`);
  assert.equal(allowed.has("a-0"), false);
  assert.equal(allowed.has("a-1"), true);
  assert.equal(allowed.has("a-100"), true);
});
