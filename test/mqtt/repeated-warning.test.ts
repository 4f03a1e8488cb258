// Trouble that repeats is logged once a minute, with how often it came.

import assert from "node:assert/strict";
import { test } from "node:test";
import { RepeatedWarning } from "../../src/mqtt/repeated-warning.ts";
import { type LogEntry, loggerInto } from "../broker/broker-fixture.ts";

test("one line a minute, with the times since the last one", () => {
  const log: LogEntry[] = [];
  let now = 1_000_000;
  const warning = new RepeatedWarning(loggerInto(log), "trouble", () => now);
  for (let time = 0; time < 120; time++) {
    warning.warn({ time });
    now += 1000;
  }
  now += 3_600_000;
  warning.warn({ time: "later" });
  assert.deepEqual(
    log.map(({ level, message, fields }) => [level, message, fields]),
    [
      ["warn", "trouble", { time: 0, count: 1 }],
      ["warn", "trouble", { time: 60, count: 60 }],
      ["warn", "trouble", { time: "later", count: 60 }],
    ],
  );
});
