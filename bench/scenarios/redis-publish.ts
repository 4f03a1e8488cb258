// redis-publish: store-publish with Redis in place of SQLite, beside raw Redis in pipelines, the broker without the plugin,
// and raw Redis with one command waiting for the next, as EMQX's plugin sends them.

import { milliseconds, whole } from "../format.ts";
import type { RawResult } from "../raw/jobs.ts";
import { runRawRedis } from "../raw/raw-redis.ts";
import type { RawRedisJob } from "../raw/redis-jobs.ts";
import { atLeast, figureRow } from "../rows.ts";
import {
  allRates,
  busy,
  middle,
  middleRate,
  type OwnRun,
  rate,
  requireOrder,
  runOnBroker,
  savedAtOnce,
} from "../runs.ts";
import { type Bench, PAYLOAD_BYTES, type Report, type Row, type Scenario } from "../scenario.ts";

const NAME = "redis-publish";
const PUBLISHERS = 50;
/** Messages that each publisher has under way. */
const WINDOW = 32;
const WARM_UP = 1_500;
const TOPIC = "bench/redis-publish";
/** Connections of EMQX's plugin, by default. */
const POOL_SIZE = 8;
/** Part of the lower limit that is aimed at. */
const REACH = 0.5;
/** Times the speed of one command after the other that is aimed at. */
const REACH_ONE_BY_ONE = 3;

async function run(bench: Bench): Promise<Report> {
  if (bench.redisMissing !== undefined) return { rows: [], notes: [`${NAME}: ${bench.redisMissing}`] };
  const stored: OwnRun[] = [];
  const alone: OwnRun[] = [];
  const raw: RawResult[] = [];
  const single: RawResult[] = [];
  const pool: RawResult[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const own = await publish(bench, true);
    stored.push(own);
    raw.push(await measureRaw(bench, { kind: "save", batch: Math.round(savedAtOnce(own)) }));
    alone.push(await publish(bench, false));
    single.push(await measureRaw(bench, { kind: "oneByOne", connections: 1 }));
    pool.push(await measureRaw(bench, { kind: "oneByOne", connections: POOL_SIZE }));
  }
  const figures = { measured: middleRate(stored), store: middle(raw, rate), alone: middleRate(alone) };
  const oneByOne = middle(single, rate);
  const times = figures.measured / oneByOne;
  const latency = (name: "p50" | "p99"): Row => {
    const of = (runs: readonly OwnRun[]): number => middle(runs, ({ result }) => result[name]);
    return figureRow(NAME, `PUBACK ${name}`, milliseconds, { measured: of(stored), alone: of(alone) });
  };
  return {
    rows: [
      figureRow(
        NAME,
        "messages/s",
        whole,
        figures,
        atLeast(figures.measured / Math.min(figures.store, figures.alone), REACH),
      ),
      figureRow(
        NAME,
        "one by one",
        whole,
        { store: oneByOne },
        {
          ratio: `${times.toFixed(1)} ×`,
          reach: `≥ ${REACH_ONE_BY_ONE} ×: ${times >= REACH_ONE_BY_ONE ? "yes" : "no"}`,
        },
      ),
      latency("p50"),
      latency("p99"),
    ],
    notes: [
      `${NAME}: rounds ${allRates(stored)}; ${middle(stored, savedAtOnce).toFixed(0)} messages saved in a pipeline; ` +
        `one by one on ${POOL_SIZE} connections ${whole(middle(pool, rate))}; ${busy(stored)}`,
    ],
  };
}

async function publish(bench: Bench, plugin: boolean): Promise<OwnRun> {
  const redis = plugin ? await bench.startRedis() : undefined;
  const options = { plugin, ...(redis === undefined ? {} : { redisPort: redis.port }) };
  const own = await runOnBroker(bench, options, (address) => ({
    kind: "publishFor",
    address,
    publishers: PUBLISHERS,
    window: WINDOW,
    topic: TOPIC,
    topicPerPublisher: true,
    payloadBytes: PAYLOAD_BYTES,
    warmUp: WARM_UP,
    duration: bench.duration,
  }));
  requireOrder(own.result);
  await redis?.kill();
  return own;
}

type Raw =
  | Pick<Extract<RawRedisJob, { kind: "save" }>, "kind" | "batch">
  | Pick<Extract<RawRedisJob, { kind: "oneByOne" }>, "kind" | "connections">;

async function measureRaw(bench: Bench, job: Raw): Promise<RawResult> {
  const redis = await bench.startRedis();
  const topics = Array.from({ length: PUBLISHERS }, (_, number) => `${TOPIC}/${number}`);
  const result = await runRawRedis({
    ...job,
    port: redis.port,
    topics,
    payloadBytes: PAYLOAD_BYTES,
    warmUp: WARM_UP,
    duration: bench.duration,
  });
  await redis.kill();
  return result;
}

export const redisPublish: Scenario = { name: NAME, run };
