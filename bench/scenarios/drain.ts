// drain: 100,000 stored messages of 128 bytes go to one subscriber, QoS 1, with the broker's default Receive Maximum.
//
// Once from the broker that has stored them (speed and memory), and once from a broker that was started anew (memory
// only: a fresh process has the most to grow). Without the plugin the messages wait in the queue of a session.

import { setTimeout as delay } from "node:timers/promises";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { storeFile } from "../../test/support/omp.ts";
import { mebibytes, median, NONE, percent, whole } from "../format.ts";
import { defaultLimits } from "../../src/plugin/options.ts";
import type { BrokerProcess } from "../broker-process.ts";
import { runRaw } from "../raw/raw-store.ts";
import { type Bench, PAYLOAD_BYTES, type Report, rate, requireOrder, type Row, type Scenario } from "../scenario.ts";

const MESSAGES = 100_000;
const TOPIC = "bench/drain";
const SUBSCRIBER = "bench-subscriber";
/** How long a broker that was started is left alone before its memory is looked at, in ms. */
const SETTLE = 1_000;
/** Part of the lower limit that is aimed at. */
const REACH = 0.5;
/** Growth of the broker that is aimed at, in bytes. */
const REACH_GROWTH = 64 * 1024 * 1024;

async function run(bench: Bench): Promise<Report> {
  const measured: number[] = [];
  const store: number[] = [];
  const alone: number[] = [];
  const growth: number[] = [];
  const freshGrowth: number[] = [];
  const batches: number[] = [];
  const brokerLoad: number[] = [];
  const generatorLoad: number[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const { copy, ...fresh } = await drainAfterRestart(bench);
    freshGrowth.push(fresh.growth);
    const stored = await drainAtOnce(bench);
    measured.push(rate(stored.result));
    growth.push(stored.growth);
    batches.push(stored.batch);
    brokerLoad.push(stored.processors);
    generatorLoad.push(stored.result.cpuSeconds / stored.result.seconds);
    store.push(rate(await drainRaw(copy, Math.round(stored.batch))));
    alone.push(rate(await drainQueue(bench)));
  }
  const ratio = median(measured) / Math.min(median(store), median(alone));
  const scenario = "drain";
  return {
    rows: [
      {
        scenario,
        figure: "messages/s",
        measured: whole(median(measured)),
        store: whole(median(store)),
        alone: whole(median(alone)),
        ratio: percent(ratio),
        reach: `≥ ${percent(REACH)}: ${ratio >= REACH ? "yes" : "no"}`,
      },
      growthRow("memory growth", growth),
      growthRow("memory growth after a restart", freshGrowth),
    ],
    notes: [
      `drain: rounds ${measured.map(whole).join(", ")}; ${median(batches).toFixed(0)} messages removed in a transaction; ` +
        `growth ${growth.map(mebibytes).join(", ")}, after a restart ${freshGrowth.map(mebibytes).join(", ")}; the broker kept ${median(brokerLoad).toFixed(2)} processors busy, ` +
        `the load generator ${median(generatorLoad).toFixed(2)}`,
    ],
  };
}

/** The largest growth counts. */
function growthRow(figure: string, growth: readonly number[]): Row {
  const largest = Math.max(...growth);
  return {
    scenario: "drain",
    figure,
    measured: mebibytes(largest),
    store: NONE,
    alone: NONE,
    ratio: NONE,
    reach: `< ${mebibytes(REACH_GROWTH)}: ${largest < REACH_GROWTH ? "yes" : "no"}`,
  };
}

async function drainAtOnce(bench: Bench) {
  const broker = await bench.startBroker({ dataDirectory: bench.directory(), plugin: true });
  await fill(bench, broker);
  return drainStored(bench, broker);
}

/** Also gives a copy of the full database, for the raw store. */
async function drainAfterRestart(bench: Bench) {
  const dataDirectory = bench.directory();
  const filling = await bench.startBroker({ dataDirectory, plugin: true });
  await fill(bench, filling);
  await filling.stop();
  const copy = join(bench.directory(), "messages.db");
  copyFileSync(storeFile(dataDirectory), copy);
  const broker = await bench.startBroker({ dataDirectory, plugin: true });
  await delay(SETTLE);
  return { ...(await drainStored(bench, broker)), copy };
}

async function drainStored(bench: Bench, broker: BrokerProcess) {
  const before = broker.watch.begin();
  const result = await bench.load.run({
    kind: "receive",
    address: broker.address,
    clientId: SUBSCRIBER,
    clean: true,
    topicFilter: TOPIC,
    messages: MESSAGES,
  });
  const growth = broker.watch.peak - before;
  const { processors } = broker.watch;
  requireOrder(result, MESSAGES);
  const { removed, transactionsWithRemovals } = await broker.stop();
  return { result, growth, processors, batch: removed / Math.max(1, transactionsWithRemovals) };
}

async function drainQueue(bench: Bench) {
  const broker = await bench.startBroker({ dataDirectory: bench.directory(), plugin: false, maxMqueueLen: MESSAGES });
  const job = { kind: "receive", address: broker.address, clientId: SUBSCRIBER, clean: false } as const;
  await bench.load.run({ ...job, topicFilter: TOPIC, messages: 0 });
  await fill(bench, broker);
  const result = await bench.load.run({ ...job, messages: MESSAGES });
  requireOrder(result, MESSAGES);
  await broker.stop();
  return result;
}

function drainRaw(path: string, batch: number) {
  return runRaw({ kind: "drain", path, topic: TOPIC, page: defaultLimits.pageMessages, batch });
}

async function fill(bench: Bench, { address }: BrokerProcess): Promise<void> {
  await bench.load.run({
    kind: "publishCount",
    address,
    publishers: 10,
    window: 100,
    topic: TOPIC,
    topicPerPublisher: false,
    payloadBytes: PAYLOAD_BYTES,
    messages: MESSAGES,
  });
}

export const drain: Scenario = { name: "drain", run };
