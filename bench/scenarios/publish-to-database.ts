// What redis-publish and mysql-publish share: store-publish on a database server, beside the raw server in groups of the same
// size, the broker without the plugin, and the raw server with one message after the other, as EMQX's plugin sends them.

import type { Database, DatabaseServer } from "../database.ts";
import { milliseconds, whole } from "../format.ts";
import type { RawResult } from "../raw/jobs.ts";
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
import { type Bench, PAYLOAD_BYTES, type Report, type Row } from "../scenario.ts";

const PUBLISHERS = 50;
/** Messages that each publisher has under way. */
const WINDOW = 32;
const WARM_UP = 1_500;
/** Connections of EMQX's plugin, by default. */
const POOL_SIZE = 8;
/** Part of the lower limit that is aimed at. */
const REACH = 0.5;

interface Settings {
  readonly scenario: string;
  readonly database: Database;
  /** Times the speed of one message after the other that is aimed at. */
  readonly aimOneByOne: number;
}

export async function publishToDatabase(bench: Bench, settings: Settings): Promise<Report> {
  const { scenario, database, aimOneByOne } = settings;
  if (database.missing !== undefined) return { rows: [], notes: [`${scenario}: ${database.missing}`] };
  const topic = `bench/${scenario}`;
  const work = {
    topics: Array.from({ length: PUBLISHERS }, (_, number) => `${topic}/${number}`),
    payloadBytes: PAYLOAD_BYTES,
    warmUp: WARM_UP,
    duration: bench.duration,
  };
  const stored: OwnRun[] = [];
  const alone: OwnRun[] = [];
  const raw: RawResult[] = [];
  const single: RawResult[] = [];
  const pool: RawResult[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const own = await onServer(database, (server) => publish(bench, topic, server));
    stored.push(own);
    raw.push(await onServer(database, (server) => server.save({ ...work, batch: Math.round(savedAtOnce(own)) })));
    alone.push(await publish(bench, topic));
    single.push(await onServer(database, (server) => server.oneByOne({ ...work, connections: 1 })));
    pool.push(await onServer(database, (server) => server.oneByOne({ ...work, connections: POOL_SIZE })));
  }
  const figures = { measured: middleRate(stored), store: middle(raw, rate), alone: middleRate(alone) };
  const part = figures.measured / Math.min(figures.store, figures.alone);
  const oneByOne = middle(single, rate);
  const times = figures.measured / oneByOne;
  const latency = (name: "p50" | "p99"): Row => {
    const of = (runs: readonly OwnRun[]): number => middle(runs, ({ result }) => result[name]);
    return figureRow(scenario, `PUBACK ${name}`, milliseconds, { measured: of(stored), alone: of(alone) });
  };
  const reach = `≥ ${aimOneByOne} ×: ${times >= aimOneByOne ? "yes" : "no"}`;
  return {
    rows: [
      figureRow(scenario, "messages/s", whole, figures, atLeast(part, REACH)),
      figureRow(scenario, "one by one", whole, { store: oneByOne }, { ratio: `${times.toFixed(1)} ×`, reach }),
      latency("p50"),
      latency("p99"),
    ],
    notes: [
      `${scenario}: rounds ${allRates(stored)}; ${middle(stored, savedAtOnce).toFixed(0)} messages saved at once; ` +
        `one by one on ${POOL_SIZE} connections ${whole(middle(pool, rate))}; ${busy(stored)}`,
    ],
  };
}

async function publish(bench: Bench, topic: string, server?: DatabaseServer): Promise<OwnRun> {
  const options = server === undefined ? { plugin: false } : { plugin: true, store: server.store };
  const own = await runOnBroker(bench, options, (address) => ({
    kind: "publishFor",
    address,
    publishers: PUBLISHERS,
    window: WINDOW,
    topic,
    topicPerPublisher: true,
    payloadBytes: PAYLOAD_BYTES,
    warmUp: WARM_UP,
    duration: bench.duration,
  }));
  requireOrder(own.result);
  return own;
}

/** Does something with an empty server that is ended afterwards. */
export async function onServer<T>(database: Database, work: (server: DatabaseServer) => Promise<T>): Promise<T> {
  const server = await database.start();
  const result = await work(server);
  await server.kill();
  return result;
}
