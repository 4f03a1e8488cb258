// The helpers that other tests rely on.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { runChild, startChild } from "./child.ts";
import { debianTool } from "./debian-tool.ts";
import { withFileLock } from "./file-lock.ts";
import { temporaryDirectory } from "./temporary-directory.ts";
import { waitFor, within } from "./wait-for.ts";

test("waitFor gives what was waited for, and says what did not come", async () => {
  let looks = 0;
  assert.equal(await waitFor(() => ++looks > 2 && looks, { what: "three looks" }), 3);
  await assert.rejects(
    waitFor(() => false, { what: "never", timeout: 20 }),
    /waited 20 ms in vain for: never/,
  );
  await assert.rejects(within(new Promise(() => {}), { what: "nothing", timeout: 20 }), /in vain for: nothing/);
});

test("a child's output is waited for, and its end explains why it does not come", async (t) => {
  const child = startChild(t, "sh", ["-c", "echo one; echo two >&2; cat"]);
  assert.equal((await child.output(/o(.)e/))[1], "n");
  await child.output(/two/);
  await assert.rejects(child.output(/three/), /ended without writing .*three/);
  assert.equal((await child.ended).code, 0);
  await assert.rejects(runChild("sleep", ["60"], { timeout: 20 }), /in vain for: the end of sleep 60/);
});

test("a lock is held by one at a time", async (t) => {
  const file = join(temporaryDirectory(t), "lock");
  let inside = 0;
  const entered: number[] = [];
  const enter = () =>
    withFileLock(file, async () => {
      entered.push(++inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
    });
  await Promise.all([enter(), enter(), enter()]);
  assert.deepEqual(entered, [1, 1, 1]);
});

test("the machine's own program comes first", async () => {
  const { tool } = await debianTool(["no-such-package"], "sh");
  assert.match(tool?.path ?? "", /\/sh$/);
  assert.equal(tool?.root, undefined);
});

test("the test runner fails when a test fails, when none runs, and lists what was skipped", async (t) => {
  const directory = temporaryDirectory(t);
  const runner = resolve(fileURLToPath(import.meta.url), "../../run.ts");
  // Node refuses to run tests from within a test unless it does not know.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const run = async (body: string) => {
    const file = join(directory, "x.test.ts");
    writeFileSync(file, `import test from "node:test";\n${body}`);
    return runChild(process.execPath, [runner, file], { env });
  };
  const passing = await run('test("a", () => {}); test("b", { skip: "no reason at all" }, () => {});');
  assert.equal(passing.code, 0, passing.stdout);
  assert.match(passing.stdout, /ℹ pass 1\n/);
  assert.match(passing.stdout, /﹣ skipped: .*x\.test\.ts: b: no reason at all\n$/);
  assert.equal((await run('test("a", () => { throw new Error(); });')).code, 1);
  assert.equal((await run("")).code, 1);
  assert.equal((await run('test("a", { skip: true }, () => {});')).code, 1);
  const none = await runChild(process.execPath, [runner, join(directory, "*.nothing.ts")], { env });
  assert.equal(none.code, 1);
  assert.match(none.stderr, /no test file matches/);
});

test("a temporary directory goes away with its test", async (t) => {
  let directory = "";
  await t.test("inner", (inner) => {
    directory = temporaryDirectory(inner);
    mkdirSync(join(directory, "a"));
  });
  assert.equal(existsSync(directory), false);
});
