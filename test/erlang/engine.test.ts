// The engine that EMQX starts itself: its start, its log, its end, also when EMQX is killed.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { inReverse, type Scope } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { ownEbin } from "./ebin.ts";
import { type ErlangNode, erlangMissing, startErlangNode } from "./erlang-node.ts";

const skip = erlangMissing;
/** More than a busy machine needs, in ms. */
const PATIENCE = 30_000;
/** Two of the tests wait for what takes the application a quarter of a minute: the others run meanwhile. */
const CONCURRENCY = 3;
const CHILD = new URL("scripted-child.ts", import.meta.url).href;

const scope = inReverse({ after });
let ebin: string;

before(async () => {
  if (skip !== undefined) return;
  ebin = ownEbin(scope);
  writeFileSync(join(dirname(ebin), "emqx-engine.mjs"), `import ${JSON.stringify(CHILD)};\n`);
});

async function start(t: Scope, part = "", program = process.execPath): Promise<ErlangNode> {
  const configuration = `#{<<"engine">> => #{<<"mode">> => <<"spawn">>, <<"node">> => <<"${program}">>}}`;
  const node = await startErlangNode(t, ebin, { configuration, retryDelay: 20 });
  await node.call(`os:putenv("SCRIPTED_CHILD", "${part}")`);
  await node.call('os:putenv("EMQX_NODE__COOKIE", "secret of EMQX")');
  await node.start();
  return node;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Waits for the line that the engine writes once it listens; the process id in it. */
async function pidOf(node: ErlangNode, count = 1): Promise<number> {
  const lines = await waitFor(
    () => {
      const all = node.log.filter((line) => line.includes("protocol 1,"));
      return all.length >= count ? all : undefined;
    },
    { what: "the engine runs", timeout: PATIENCE },
  );
  return Number(lines[count - 1]?.match(/pid (\d+)/)?.[1]);
}

describe("the engine that EMQX starts", { skip, concurrency: CONCURRENCY }, () => {
  test("runs in the plugin's folder, without EMQX's environment, and ends with the plugin", async (t) => {
    const node = await start(t);
    await node.isWell();
    const line = await pidOf(node);
    assert.match(
      (await node.wholeLog()).join("\n"),
      /LOG info msg: offline_message_plugin, text: <<"protocol 1, in true, EMQX's 0, pid/,
    );
    assert.ok(isAlive(line));
    await node.stop();
    assert.ok(!isAlive(line));
  });

  test("ends when EMQX is killed", async (t) => {
    const node = await start(t);
    const pid = await pidOf(node);
    await node.child.stop("SIGKILL");
    await waitFor(() => !isAlive(pid), { what: "the engine has ended", timeout: PATIENCE });
  });

  test("is started again when it was killed", async (t) => {
    const node = await start(t);
    await node.isWell();
    process.kill(await pidOf(node), "SIGKILL");
    await pidOf(node, 2);
    await node.isWell();
    assert.ok(
      (await node.wholeLog()).some((line) => line.includes("The engine has ended with 137")),
      (await node.wholeLog()).join("\n"),
    );
  });

  test("is killed and started again when it hangs for good", { timeout: 90_000 }, async (t) => {
    const node = await start(t, "heartbeat");
    await node.isWell();
    const pid = await pidOf(node);
    t.after(() => isAlive(pid) && process.kill(pid, "SIGKILL"));
    process.kill(pid, "SIGSTOP");
    await pidOf(node, 2);
    assert.ok(!isAlive(pid));
    assert.ok(
      (await node.wholeLog()).some((line) => line.includes("The engine does not answer any more: it is killed")),
    );
    await node.isWell();
  });

  test("is killed when it does not end", { timeout: 60_000 }, async (t) => {
    const node = await start(t, "stubborn");
    const pid = await pidOf(node);
    await node.stop();
    await waitFor(() => !isAlive(pid), { what: "the engine has gone", timeout: PATIENCE });
  });

  for (const [what, part, program, expected] of [
    ["that cannot start", "problem", process.execPath, "The engine cannot start: the directory cannot be written"],
    ["that ends at once", "end", process.execPath, "The engine has ended with 7"],
    ["of a program that is not there", "", "no-such-node", "No such program: no-such-node"],
  ] as const) {
    test(`${what} is in the health and the log, once`, async (t) => {
      const node = await start(t, part, program);
      await waitFor(async () => (await node.health()) === `"${expected}"`, { what: expected, timeout: PATIENCE });
      assert.equal((await node.wholeLog()).filter((line) => line.includes(expected)).length, 1);
    });
  }

  test("has its log in EMQX's, whatever it writes", async (t) => {
    const node = await start(t, "noise");
    await node.isWell();
    await pidOf(node);
    assert.ok((await node.wholeLog()).includes('LOG warning msg: offline_message_plugin, text: <<"no JSON at all">>'));
    assert.ok(
      (await node.wholeLog()).includes('LOG error msg: offline_message_plugin, text: <<"something is wrong">>'),
    );
    const long = (await node.wholeLog()).filter((line) => line.includes("xxxx"));
    assert.equal(long.length, 1);
    assert.ok((long[0]?.length ?? 0) < 17_000);
  });
});
