// emqx-publish: publishers in EMQX that each wait for their answer, through the link to the engine: 50 of them on SQLite and on
// Redis, and one alone.

import { parseHocon } from "../../src/hocon/parse.ts";
import type { Published } from "../emqx-load.ts";
import { milliseconds, whole } from "../format.ts";
import { figureRow } from "../rows.ts";
import { middle, rate } from "../runs.ts";
import { type Bench, PAYLOAD_BYTES, type Report, type Row, type Scenario } from "../scenario.ts";
import { onServer } from "./publish-to-database.ts";

const NAME = "emqx-publish";
const PUBLISHERS = 50;
const WARM_UP = 1_500;
/** Messages a second that are aimed at. */
const REACH = { SQLite: 15_000, Redis: 10_000 };
/** The p50 of one publisher that is aimed at, in ms. */
const REACH_ALONE = 1;

const NONE = { mysql: { enable: false }, redis: { enable: false } };
/** The plugin's configuration with the store on SQLite, everything stored. */
export const SQLITE = { ...NONE, sqlite: { enable: true, topics: ["#"] } };

interface Run {
  readonly result: Published;
  /** Processors kept busy. */
  readonly engine: number;
  readonly emqx: number;
}

async function run(bench: Bench): Promise<Report> {
  if (bench.erlangMissing !== undefined) return { rows: [], notes: [`${NAME}: ${bench.erlangMissing}`] };
  const sqlite: Run[] = [];
  const alone: Run[] = [];
  const redis: Run[] = [];
  const { missing } = bench.redis;
  for (let round = 0; round < bench.rounds; round++) {
    sqlite.push(await publish(bench, PUBLISHERS, SQLITE));
    alone.push(await publish(bench, 1, SQLITE));
    if (missing !== undefined) continue;
    const store = ({ configuration }: { configuration: string }) => ({ ...NONE, ...parseHocon(configuration).value });
    redis.push(await onServer(bench.redis, (server) => publish(bench, PUBLISHERS, store(server.store))));
  }
  const p50 = middle(alone, ({ result }) => result.p50);
  const reach = `< ${REACH_ALONE} ms: ${p50 < REACH_ALONE ? "yes" : "no"}`;
  return {
    rows: [
      ...rows("SQLite", sqlite),
      ...(redis.length > 0 ? rows("Redis", redis) : []),
      figureRow(NAME, "one publisher, p50", milliseconds, { measured: p50 }, { reach }),
    ],
    notes: [
      `${NAME}: SQLite ${inWords(sqlite)}; one publisher ${inWords(alone)}`,
      missing === undefined ? `${NAME}: Redis ${inWords(redis)}` : `${NAME}: ${missing}`,
    ],
  };
}

function rows(store: keyof typeof REACH, runs: readonly Run[]): Row[] {
  const measured = middle(runs, ({ result }) => rate(result));
  const aim = REACH[store];
  const reach = `≥ ${whole(aim)}: ${measured >= aim ? "yes" : "no"}`;
  return [
    figureRow(NAME, `${store}, messages/s`, whole, { measured }, { reach }),
    ...(["p50", "p99"] as const).map((name) =>
      figureRow(NAME, `${store}, ${name}`, milliseconds, { measured: middle(runs, ({ result }) => result[name]) }),
    ),
  ];
}

function inWords(runs: readonly Run[]): string {
  const rates = runs.map(({ result }) => whole(rate(result))).join(", ");
  const [engine, emqx] = (["engine", "emqx"] as const).map((of) => middle(runs, (run) => run[of]).toFixed(2));
  return `${rates}; the engine kept ${engine} processors busy, EMQX's side ${emqx}`;
}

async function publish(bench: Bench, publishers: number, config: Readonly<Record<string, unknown>>): Promise<Run> {
  const engine = await bench.startEngine();
  const load = await bench.startEmqx(engine, config);
  engine.watch.begin();
  load.watch.begin();
  const result = await load.publishFor(publishers, `bench/${NAME}`, PAYLOAD_BYTES, WARM_UP, bench.duration);
  const measured = { result, engine: engine.watch.processors, emqx: load.watch.processors };
  await load.stop();
  await engine.stop();
  return measured;
}

export const emqxPublish: Scenario = { name: NAME, run };
