// The bootstrap file of API keys: what its lines may be, and who gets in.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiKeys, parseApiKeys } from "../../src/management/api-keys.ts";

test("keys with and without a role, and empty lines", () => {
  assert.deepEqual(parseApiKeys("key:secret\n\n  look:other:viewer \r\npub:x:publisher"), {
    keys: [
      { key: "key", secret: "secret", role: "administrator" },
      { key: "look", secret: "other", role: "viewer" },
      { key: "pub", secret: "x", role: "publisher" },
    ],
  });
  assert.deepEqual(parseApiKeys(""), { keys: [] });
});

test("what is wrong is told by its line, and without the secret", () => {
  const result = parseApiKeys("key\nkey:\n:hush\na:hush:king\nb:hush\nb:hush2\nc:hush:viewer:x");
  assert.ok("problems" in result);
  assert.deepEqual(
    result.problems.map(({ line }) => line),
    [1, 2, 3, 4, 6, 7],
  );
  assert.doesNotMatch(JSON.stringify(result), /hush/);
  const many = parseApiKeys(Array.from({ length: 1001 }, (_, at) => `k${at}:s`).join("\n"));
  assert.deepEqual(many, { problems: [{ line: 1001, message: "is one key more than 1000" }] });
});

test("a key has its role with its own secret only", () => {
  const keys = new ApiKeys([
    { key: "a", secret: "one", role: "viewer" },
    { key: "b", secret: "two", role: "administrator" },
  ]);
  assert.equal(keys.roleOf("a", "one"), "viewer");
  assert.equal(keys.roleOf("b", "two"), "administrator");
  for (const [key, secret] of [
    ["a", "two"],
    ["a", ""],
    ["c", ""],
    ["", ""],
    ["__proto__", "one"],
  ] as const) {
    assert.equal(keys.roleOf(key, secret), undefined);
  }
});
