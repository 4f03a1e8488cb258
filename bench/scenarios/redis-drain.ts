// redis-drain: drain with Redis in place of SQLite, from the broker that has stored the messages and from one that was
// started anew, beside raw Redis that reads and removes the same.

import { setTimeout as delay } from "node:timers/promises";
import { defaultLimits } from "../../src/plugin/options.ts";
import type { RedisServer } from "../../test/support/redis-server.ts";
import type { BrokerProcess } from "../broker-process.ts";
import { mebibytes, whole } from "../format.ts";
import type { RawResult } from "../raw/jobs.ts";
import { runRawRedis } from "../raw/raw-redis.ts";
import { atLeast, figureRow } from "../rows.ts";
import { allRates, busy, middle, middleRate, rate } from "../runs.ts";
import type { Bench, Report, Scenario } from "../scenario.ts";
import { type Drained, drainStored, fill, growthRow, SETTLE, TOPIC } from "./drain.ts";

const NAME = "redis-drain";
/** Part of raw Redis that is aimed at. */
const REACH = 0.5;

async function run(bench: Bench): Promise<Report> {
  if (bench.redisMissing !== undefined) return { rows: [], notes: [`${NAME}: ${bench.redisMissing}`] };
  const stored: Drained[] = [];
  const fresh: Drained[] = [];
  const raw: RawResult[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    fresh.push(await onRedis(bench, drainAfterRestart));
    stored.push(await onRedis(bench, drainAtOnce));
    raw.push(await onRedis(bench, drainRaw));
  }
  const figures = { measured: middleRate(stored), store: middle(raw, rate) };
  const growths = (runs: readonly Drained[]): string => runs.map(({ growth }) => mebibytes(growth)).join(", ");
  return {
    rows: [
      figureRow(NAME, "messages/s", whole, figures, atLeast(figures.measured / figures.store, REACH)),
      growthRow(NAME, "memory growth", stored),
      growthRow(NAME, "memory growth after a restart", fresh),
    ],
    notes: [
      `${NAME}: rounds ${allRates(stored)}; ${middle(stored, ({ batch }) => batch).toFixed(0)} messages removed in a pipeline; ` +
        `growth ${growths(stored)}, after a restart ${growths(fresh)}; ${busy(stored)}`,
    ],
  };
}

async function onRedis<T>(bench: Bench, work: (bench: Bench, redis: RedisServer) => Promise<T>): Promise<T> {
  const redis = await bench.startRedis();
  const result = await work(bench, redis);
  await redis.kill();
  return result;
}

async function drainAtOnce(bench: Bench, redis: RedisServer): Promise<Drained> {
  const broker = await startBroker(bench, redis);
  await fill(bench, broker);
  return drainStored(bench, broker);
}

async function drainAfterRestart(bench: Bench, redis: RedisServer): Promise<Drained> {
  const filling = await startBroker(bench, redis);
  await fill(bench, filling);
  await filling.stop();
  const broker = await startBroker(bench, redis);
  await delay(SETTLE);
  return drainStored(bench, broker);
}

async function drainRaw(bench: Bench, redis: RedisServer): Promise<RawResult> {
  const broker = await startBroker(bench, redis);
  await fill(bench, broker);
  await broker.stop();
  return runRawRedis({ kind: "drain", port: redis.port, topic: TOPIC, page: defaultLimits.pageMessages });
}

function startBroker(bench: Bench, { port }: RedisServer): Promise<BrokerProcess> {
  return bench.startBroker({ dataDirectory: bench.directory(), plugin: true, redisPort: port });
}

export const redisDrain: Scenario = { name: NAME, run };
