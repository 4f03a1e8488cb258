// The log: a reader that does not read stops nothing, and what waits for it is bounded.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "node:test";

const ENTRIES = 20_000;
const ENTRY_SIZE = 200;

test("entries beyond what may wait are dropped", async (t) => {
  const log = new URL("../../src/cli/log.ts", import.meta.url).href;
  const script = `
    import { openLog } from ${JSON.stringify(log)};
    const { logger } = openLog({ level: "info", format: "text" });
    for (let count = 0; count < ${ENTRIES}; count++) logger.info({}, "x".repeat(${ENTRY_SIZE}));
    logger.debug({}, "below the level");
    process.stdout.write("goes on");`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], { stdio: "pipe" });
  t.after(() => child.kill("SIGKILL"));
  // Nothing reads standard error until the program has come past its log.
  await once(child.stdout, "data");
  let written = 0;
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    written += text.length;
    assert.doesNotMatch(text, /below the level/);
  });
  const [code] = await once(child, "close");
  assert.equal(code, 0);
  assert.ok(written > ENTRY_SIZE, `${written} characters`);
  assert.ok(written < (ENTRIES * ENTRY_SIZE) / 2, `${written} characters`);
});
