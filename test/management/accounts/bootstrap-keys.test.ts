// The bootstrap file of API keys: what its lines may be.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBootstrapKeys } from "../../../src/management/accounts/bootstrap-keys.ts";

test("keys with and without a role, and empty lines", () => {
  assert.deepEqual(parseBootstrapKeys("key:secret\n\n  look:other:viewer \r\npub:x:publisher"), {
    keys: [
      { key: "key", secret: "secret", role: "administrator" },
      { key: "look", secret: "other", role: "viewer" },
      { key: "pub", secret: "x", role: "publisher" },
    ],
  });
  assert.deepEqual(parseBootstrapKeys(""), { keys: [] });
});

test("what is wrong is told by its line, and without the secret", () => {
  const result = parseBootstrapKeys("key\nkey:\n:hush\na:hush:king\nb:hush\nb:hush2\nc:hush:viewer:x");
  assert.ok("problems" in result);
  assert.deepEqual(
    result.problems.map(({ line }) => line),
    [1, 2, 3, 4, 6, 7],
  );
  assert.doesNotMatch(JSON.stringify(result), /hush/);
  const comments = parseBootstrapKeys("#old:hush\nci: hush\nci:hu sh");
  assert.ok("problems" in comments);
  assert.deepEqual(
    comments.problems.map(({ message }) => message),
    [
      "begins with #: a comment would be a key, so that there are none",
      "has a space or a tab in it",
      "has a space or a tab in it",
    ],
  );
  const many = parseBootstrapKeys(Array.from({ length: 1001 }, (_, at) => `k${at}:s`).join("\n"));
  assert.deepEqual(many, { problems: [{ line: 1001, message: "is one key more than 1000" }] });
});
