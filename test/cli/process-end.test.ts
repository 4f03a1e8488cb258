// The end of the process: with its exit code, and also when a thread or the log's reader never gets ready.

import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import test from "node:test";
import { runChild, startChild } from "../support/child.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const module = JSON.stringify(new URL("../../src/cli/process-end.ts", import.meta.url).href);

/** A program that starts a worker with this code and, once that runs, ends with exit code 7. */
function program(worker: string): string[] {
  const script = `
    import { Worker } from "node:worker_threads";
    import { ProcessEnd } from ${module};
    const log = { isWaiting: false };
    const processEnd = new ProcessEnd(log);
    const worker = new Worker(${JSON.stringify(worker)}, { eval: true });
    worker.once("message", () => {
      console.log("ends");
      processEnd.exit(7);
    });`;
  return ["--input-type=module-typescript", "-e", script];
}

test("a thread that ends is waited for", async () => {
  const worker =
    'process.getBuiltinModule("node:worker_threads").parentPort.postMessage("runs"); setTimeout(() => {}, 100);';
  assert.equal((await runChild(process.execPath, program(worker))).code, 7);
});

test("a thread in a system call that never returns does not keep the process alive", async (t) => {
  const pipe = join(temporaryDirectory(t), "pipe");
  assert.equal((await runChild("mkfifo", [pipe])).code, 0);
  const worker = `
    process.getBuiltinModule("node:worker_threads").parentPort.postMessage("runs");
    process.getBuiltinModule("node:fs").openSync(${JSON.stringify(pipe)}, "r");`;
  const child = startChild(t, process.execPath, program(worker));
  await child.output(/ends/);
  const [code, signal] = await once(child.process, "close");
  assert.deepEqual({ code, signal }, { code: null, signal: "SIGKILL" });
});

test("a log that nobody reads does not keep the process alive", async (t) => {
  const script = `
    import { ProcessEnd } from ${module};
    console.log("ends");
    new ProcessEnd({ isWaiting: true }).exit(7);`;
  const child = startChild(t, process.execPath, ["--input-type=module-typescript", "-e", script]);
  assert.equal((await child.ended).signal, "SIGKILL");
});
