// drain: 100,000 stored messages of 128 bytes go to one subscriber, QoS 1, with the broker's default Receive Maximum.
//
// Once from the broker that has stored them (speed and memory), and once from a broker that was started anew (memory
// only: a fresh process has the most to grow). Without the plugin the messages wait in the queue of a session.

import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { defaultLimits } from "../../src/plugin/options.ts";
import { storeFile } from "../../test/support/omp.ts";
import type { BrokerProcess } from "../broker-process.ts";
import { mebibytes, whole } from "../format.ts";
import type { JobResult } from "../load/jobs.ts";
import type { RawResult } from "../raw/jobs.ts";
import { runRaw } from "../raw/raw-store.ts";
import { atLeast, figureRow } from "../rows.ts";
import { allRates, busy, middle, middleRate, type Run, rate, requireOrder, runJob } from "../runs.ts";
import { type Bench, PAYLOAD_BYTES, type Report, type Row, type Scenario } from "../scenario.ts";

export const MESSAGES = 100_000;
export const TOPIC = "bench/drain";
const SUBSCRIBER = "bench-subscriber";
/** How long a broker that was started is left alone before its memory is looked at, in ms. */
export const SETTLE = 1_000;
/** Part of the lower limit that is aimed at. */
const REACH = 0.5;
/** Growth of the broker that is aimed at, in bytes. */
const REACH_GROWTH = 64 * 1024 * 1024;

export interface Drained extends Run {
  /** Of the broker's memory, in bytes. */
  readonly growth: number;
  /** Messages removed in a transaction. */
  readonly batch: number;
}

async function run(bench: Bench): Promise<Report> {
  const stored: Drained[] = [];
  const fresh: Drained[] = [];
  const raw: RawResult[] = [];
  const alone: JobResult[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const { copy, ...drained } = await drainAfterRestart(bench);
    fresh.push(drained);
    const run = await drainAtOnce(bench);
    stored.push(run);
    raw.push(await drainRaw(copy, Math.round(run.batch)));
    alone.push(await drainQueue(bench));
  }
  const figures = { measured: middleRate(stored), store: middle(raw, rate), alone: middle(alone, rate) };
  const ratio = figures.measured / Math.min(figures.store, figures.alone);
  const growths = (runs: readonly Drained[]): string => runs.map(({ growth }) => mebibytes(growth)).join(", ");
  return {
    rows: [
      figureRow("drain", "messages/s", whole, figures, atLeast(ratio, REACH)),
      growthRow("drain", "memory growth", stored),
      growthRow("drain", "memory growth after a restart", fresh),
    ],
    notes: [
      `drain: rounds ${allRates(stored)}; ${middle(stored, ({ batch }) => batch).toFixed(0)} messages removed in a transaction; ` +
        `growth ${growths(stored)}, after a restart ${growths(fresh)}; ${busy(stored)}`,
    ],
  };
}

/** The largest growth counts. */
export function growthRow(scenario: string, figure: string, runs: readonly Drained[]): Row {
  const largest = Math.max(...runs.map(({ growth }) => growth));
  const reach = `< ${mebibytes(REACH_GROWTH)}: ${largest < REACH_GROWTH ? "yes" : "no"}`;
  return figureRow(scenario, figure, mebibytes, { measured: largest }, { reach });
}

async function drainAtOnce(bench: Bench): Promise<Drained> {
  const broker = await bench.startBroker({ dataDirectory: bench.directory(), plugin: true });
  await fill(bench, broker);
  return drainStored(bench, broker);
}

/** Also gives a copy of the full database, for the raw store. */
async function drainAfterRestart(bench: Bench): Promise<Drained & { copy: string }> {
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

export async function drainStored(bench: Bench, broker: BrokerProcess, messages = MESSAGES): Promise<Drained> {
  const before = broker.watch.memory;
  const run = await runJob(bench, broker, (address) => ({
    kind: "receive",
    address,
    clientId: SUBSCRIBER,
    clean: true,
    topicFilter: TOPIC,
    messages,
  }));
  const growth = broker.watch.peak - before;
  requireOrder(run.result, messages);
  const { removed, transactionsWithRemovals } = await broker.stop();
  return { ...run, growth, batch: removed / Math.max(1, transactionsWithRemovals) };
}

async function drainQueue(bench: Bench): Promise<JobResult> {
  const broker = await bench.startBroker({ dataDirectory: bench.directory(), plugin: false, maxMqueueLen: MESSAGES });
  const job = { kind: "receive", address: broker.address, clientId: SUBSCRIBER, clean: false } as const;
  await bench.load.run({ ...job, topicFilter: TOPIC, messages: 0 });
  await fill(bench, broker);
  const result = await bench.load.run({ ...job, messages: MESSAGES });
  requireOrder(result, MESSAGES);
  await broker.stop();
  return result;
}

function drainRaw(path: string, batch: number): Promise<RawResult> {
  return runRaw({ kind: "drain", path, topic: TOPIC, page: defaultLimits.pageMessages, batch });
}

export async function fill(bench: Bench, { address }: BrokerProcess, messages = MESSAGES): Promise<void> {
  await bench.load.run({
    kind: "publishCount",
    address,
    publishers: 10,
    window: 100,
    topic: TOPIC,
    topicPerPublisher: false,
    payloadBytes: PAYLOAD_BYTES,
    messages,
  });
}

export const drain: Scenario = { name: "drain", run };
