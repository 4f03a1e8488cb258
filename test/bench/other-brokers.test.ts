// What takes the broker's place in a benchmark, mosquitto and the sink, takes the load and goes away again.

import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { Cleanup } from "../../bench/cleanup.ts";
import { LoadGenerator } from "../../bench/load-generator.ts";
import { findMosquitto, startMosquitto } from "../../bench/mosquitto-process.ts";
import type { Bench, MeasuredBroker } from "../../bench/scenario.ts";
import { mosquitto as mosquittoScenario } from "../../bench/scenarios/mosquitto.ts";
import { startSink } from "../../bench/sink-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const MESSAGES = 1_000;
const mosquitto = await findMosquitto();

function startLoad(context: TestContext): LoadGenerator {
  const load = new LoadGenerator();
  context.after(() => load.stop());
  return load;
}

function cleanupOf(context: TestContext): Cleanup {
  const cleanup = new Cleanup();
  context.after(() => cleanup.run());
  return cleanup;
}

async function publish(load: LoadGenerator, { address }: MeasuredBroker): Promise<number> {
  const publishers = { publishers: 4, window: 32, topic: "bench/t", topicPerPublisher: true, payloadBytes: 32 };
  const { messages } = await load.run({ kind: "publishCount", address, ...publishers, messages: MESSAGES });
  return messages;
}

test("mosquitto takes publishes, idle clients and sessions", { skip: mosquitto.missing ?? false }, async (context) => {
  assert.ok(mosquitto.tool);
  const load = startLoad(context);
  const broker = await startMosquitto(cleanupOf(context), mosquitto.tool, temporaryDirectory(context));
  assert.equal(await publish(load, broker), MESSAGES);
  const { address, watch } = broker;
  await load.run({ kind: "connectIdle", address, clients: 10 });
  await load.run({ kind: "leaveSessions", address, sessions: 10, prefix: "left" });
  await load.run({ kind: "disconnectIdle" });
  assert.ok(watch.memory > 1_000_000);
  await broker.stop();
  await assert.rejects(publish(load, broker), /ECONNREFUSED/);
});

test("the sink acknowledges what is published", async (context) => {
  const load = startLoad(context);
  const sink = await startSink(cleanupOf(context));
  assert.equal(await publish(load, sink), MESSAGES);
  await sink.stop();
  await assert.rejects(publish(load, sink), /ECONNREFUSED/);
});

test("where there is no mosquitto, the comparison says that it was not run, and why", async () => {
  const missing = "mosquitto is missing: install mosquitto";
  const bench: Pick<Bench, "findMosquitto"> = { findMosquitto: async () => ({ missing }) };
  const { rows, notes } = await mosquittoScenario.run(bench as Bench);
  assert.deepEqual(
    rows.map(({ reach }) => reach),
    ["not run"],
  );
  assert.deepEqual(notes, [`mosquitto: not run: ${missing}`]);
});
