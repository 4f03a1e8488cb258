// Log entries as text: one line each, whatever a client puts into a field.

import assert from "node:assert/strict";
import test from "node:test";
import { formatLogEntry } from "../../src/cli/log-text.ts";

const TIME = Date.UTC(2026, 0, 2, 3, 4, 5, 6);

function format(fields: Record<string, unknown>): string {
  return formatLogEntry(JSON.stringify({ level: 30, time: TIME, ...fields }));
}

test("time, level, sentence, fields", () => {
  assert.equal(
    format({ level: 40, clientId: "c1", topic: "t/2", count: 3, msg: "a message was refused" }),
    "2026-01-02T03:04:05.006Z warn  a message was refused clientId=c1 topic=t/2 count=3\n",
  );
});

test("values with spaces and quotes are quoted", () => {
  assert.match(
    format({ msg: "x", clientId: 'a "b" c', empty: "", list: ["a b"] }),
    / clientId="a \\"b\\" c" empty="" list=\["a b"\]\n$/,
  );
});

test("control characters reach no terminal", () => {
  const line = format({ msg: "one\ntwo\u001b[2J", clientId: "a\u0085b\r\u2028c\u007f" });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  assert.doesNotMatch(line.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
  assert.ok(line.includes("one\\ntwo\\u001b[2J"), line);
});

test("an error with a code gives its code, and its message unless the sentence tells it already", () => {
  const err = { type: "X", code: "STORE_UNAVAILABLE", message: "the disk is full", stack: "Error: x\n    at y" };
  assert.match(
    format({ err, msg: "the store is away" }),
    /the store is away \(STORE_UNAVAILABLE: the disk is full\)\n$/,
  );
  assert.match(format({ err, msg: "away: the disk is full" }), /away: the disk is full \(STORE_UNAVAILABLE\)\n$/);
});

test("an error without a code brings its stack", () => {
  const err = { type: "TypeError", message: "x is undefined", stack: "TypeError: x is undefined\n    at y (z.ts:1:2)" };
  assert.equal(format({ err, msg: "failed" }).split("\n").length, 4);
  assert.match(format({ err, msg: "failed" }), /failed\n {2}TypeError: x is undefined\n {2} {4}at y \(z\.ts:1:2\)\n$/);
});

test("a line that is no entry is passed on", () => {
  assert.equal(formatLogEntry("plain\n"), "plain\n");
});
