// An engine that is killed, hangs, or is started again while EMQX goes on: nothing that was answered with "stored" is lost.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { seededRandom } from "../mqtt/seed.ts";
import { turn } from "../plugin/plugin-fixture.ts";
import { type Child, startChild } from "../support/child.ts";
import { freePort } from "../support/free-port.ts";
import { pauseProcess } from "../support/pause.ts";
import { inReverse, temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { SECRET } from "./link-peer.ts";
import { ScriptedNode } from "./scripted-node.ts";

const OMP = resolve(fileURLToPath(import.meta.url), "../../../src/cli/omp.ts");
const START_TIMEOUT = 60_000;
const CONFIG = { mysql: { enable: false }, redis: { enable: false }, sqlite: { enable: true, topics: ["#"] } };
const KILLS = 3;

test("an engine that is killed and started again: every message that was stored arrives", {
  timeout: 240_000,
}, async (t) => {
  const random = seededRandom("kills of the engine");
  const scope = inReverse(t);
  const directory = temporaryDirectory(scope);
  const secret = join(directory, "secret");
  writeFileSync(secret, SECRET);
  const port = await freePort();
  const start = async (): Promise<Child> => {
    const options = ["--listen", `127.0.0.1:${port}`, "--secret-file", secret, "--data-dir", join(directory, "data")];
    const child = startChild(scope, process.execPath, [OMP, "emqx-plugin", ...options], { env: process.env });
    await child.output(/^ {2}listens /m, START_TIMEOUT);
    return child;
  };
  let engine = await start();
  const node = await ScriptedNode.start(scope, { port, config: CONFIG });
  const client = node.connect("c", { receiveMaximum: 20, queueLimit: 1000 });
  node.subscribe("c", "#");
  const stored: string[] = [];
  let published = 0;
  const publishSome = async (count: number): Promise<void> => {
    const outcomes = Array.from({ length: count }, async () => {
      published += 1;
      const payload = String(published);
      const { result } = await node.publish(`t/${random.below(5)}`, payload, { from: `p${random.below(3)}` });
      if (result === "stored") stored.push(payload);
    });
    await Promise.all(outcomes);
  };
  for (let kill = 0; kill < KILLS; kill += 1) {
    await publishSome(20);
    node.ack("c", random.below(15));
    const publishing = publishSome(50);
    await waitFor(() => stored.length >= 20 * (kill + 1) + random.below(10), { what: "some answers", interval: 1 });
    await engine.stop("SIGKILL");
    await publishing;
    await waitFor(() => !node.isUp, { what: "the end of the link" });
    node.ack("c", random.below(5));
    const refused = await node.publish("t/1", "without an engine");
    assert.equal(refused.result, "unreachable");
    engine = await start();
    await node.openLink();
  }
  const acknowledged = new Set<string>();
  let quiet = 0;
  while (quiet < 20) {
    for (const entry of client.inFlight.values()) acknowledged.add(Buffer.from(entry.message.payload).toString());
    quiet = client.inFlight.size === 0 ? quiet + 1 : 0;
    node.ack("c", 100);
    await node.roundTrip();
  }
  const received = new Set(client.payloads);
  assert.deepEqual(
    stored.filter((payload) => !received.has(payload)),
    [],
  );
  assert.ok(acknowledged.size > 0);
  const later = node.connect("later");
  node.subscribe("later", "#");
  await node.roundTrip();
  await node.publish("t/1", "last");
  await waitFor(() => later.payloads.includes("last"), { what: "a live message" });
  assert.deepEqual(
    later.payloads.filter((payload) => stored.includes(payload)),
    [],
    "all are acknowledged and gone",
  );
  assert.equal((await engine.stop()).code, 0);
});

test("an engine that hangs for a while answers what waits, and its link lives as long as it hangs less than three heartbeats", {
  timeout: 120_000,
}, async (t) => {
  const scope = inReverse(t);
  const directory = temporaryDirectory(scope);
  const secret = join(directory, "secret");
  writeFileSync(secret, SECRET);
  const options = ["--listen", "127.0.0.1:0", "--secret-file", secret, "--data-dir", join(directory, "data")];
  const engine = startChild(scope, process.execPath, [OMP, "emqx-plugin", ...options], { env: process.env });
  const [, port] = await engine.output(/^ {2}listens {2}127\.0\.0\.1:(\d+)/m, START_TIMEOUT);
  const node = await ScriptedNode.start(scope, { port: Number(port), config: CONFIG });
  pauseProcess(engine.pid);
  let isAnswered = false;
  const outcome = node.publish("t", "1").finally(() => {
    isAnswered = true;
  });
  for (let turns = 0; turns < 50; turns += 1) await turn();
  assert.equal(isAnswered, false);
  process.kill(engine.pid, "SIGCONT");
  assert.deepEqual(await outcome, { result: "stored" });
  assert.equal(node.isUp, true);
});
