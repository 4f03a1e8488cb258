// Sizes and durations.

import assert from "node:assert/strict";
import test from "node:test";
import { describeDuration, parseDuration, parseSize, writeDuration } from "../../src/cli/units.ts";

test("sizes", () => {
  const sizes: readonly [unknown, number | undefined][] = [
    [1024, 1024],
    ["512", 512],
    ["512b", 512],
    ["1KB", 1024],
    ["1kb", 1024],
    ["1.5 MB", 1_572_864],
    ["2GB", 2_147_483_648],
    ["1KiB", undefined],
    ["MB", undefined],
    ["-1MB", undefined],
    ["1MB2", undefined],
    ["", undefined],
    [true, undefined],
  ];
  for (const [value, bytes] of sizes) assert.equal(parseSize(value), bytes, String(value));
});

test("durations", () => {
  const durations: readonly [unknown, number | undefined][] = [
    ["15s", 15],
    ["2h", 7200],
    ["1h30m", 5400],
    ["30D", 2_592_000],
    ["1w", 604_800],
    ["500ms", 0.5],
    ["1.5h", 5400],
    [0, 0],
    ["0", 0],
    [15, undefined],
    ["15", undefined],
    ["15 s", undefined],
    ["s", undefined],
    ["15s!", undefined],
    [null, undefined],
  ];
  for (const [value, seconds] of durations) assert.equal(parseDuration(value), seconds, String(value));
});

test("durations in words", () => {
  const words: readonly [number, string][] = [
    [604_800, "7 days"],
    [86_400, "1 day"],
    [7200, "2 hours"],
    [90, "90 seconds"],
    [60, "1 minute"],
    [1, "1 second"],
    [90_000, "25 hours"],
  ];
  for (const [seconds, text] of words) assert.equal(describeDuration(seconds), text);
});

test("durations as they are written in a file", () => {
  const written: readonly [number, string][] = [
    [0.01, "10ms"],
    [1.5, "1500ms"],
    [0, "0s"],
    [15, "15s"],
    [7200, "2h"],
    [86_400, "24h"],
    [2_592_000, "30d"],
    [4_294_967_295, "4294967295s"],
  ];
  for (const [seconds, text] of written) {
    assert.equal(writeDuration(seconds), text);
    assert.equal(parseDuration(text), seconds);
  }
});
