// emqx-publish: publishers in EMQX that each wait for their answer, through the link to the engine: 50 of them on SQLite and on
// Redis, and one alone.

import { parseHocon } from "../../src/hocon/parse.ts";
import { LINK_SECRET } from "../engine-process.ts";
import { milliseconds, whole } from "../format.ts";
import { figureRow } from "../rows.ts";
import { allRates, busy, middle, middleRate, type Run, runJob } from "../runs.ts";
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
const SQLITE = { ...NONE, sqlite: { enable: true, topics: ["#"] } };

async function run(bench: Bench): Promise<Report> {
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
  return {
    rows: [
      ...rows("SQLite", sqlite),
      ...(redis.length > 0 ? rows("Redis", redis) : []),
      figureRow(
        NAME,
        "one publisher, p50",
        milliseconds,
        { measured: p50 },
        {
          reach: `< ${REACH_ALONE} ms: ${p50 < REACH_ALONE ? "yes" : "no"}`,
        },
      ),
    ],
    notes: [
      `${NAME}: SQLite ${allRates(sqlite)}; ${busy(sqlite, "the engine")}`,
      missing === undefined ? `${NAME}: Redis ${allRates(redis)}; ${busy(redis, "the engine")}` : `${NAME}: ${missing}`,
    ],
  };
}

function rows(store: keyof typeof REACH, runs: readonly Run[]): Row[] {
  const measured = middleRate(runs);
  const aim = REACH[store];
  return [
    figureRow(
      NAME,
      `${store}, messages/s`,
      whole,
      { measured },
      {
        reach: `≥ ${whole(aim)}: ${measured >= aim ? "yes" : "no"}`,
      },
    ),
    ...(["p50", "p99"] as const).map((name) =>
      figureRow(NAME, `${store}, ${name}`, milliseconds, { measured: middle(runs, ({ result }) => result[name]) }),
    ),
  ];
}

async function publish(bench: Bench, publishers: number, config: unknown): Promise<Run> {
  const engine = await bench.startEngine();
  const measured = await runJob(bench, engine, (address) => ({
    kind: "linkPublish",
    address,
    secret: LINK_SECRET,
    config,
    publishers,
    topic: `bench/${NAME}`,
    payloadBytes: PAYLOAD_BYTES,
    warmUp: WARM_UP,
    duration: bench.duration,
  }));
  await engine.stop();
  return measured;
}

export const emqxPublish: Scenario = { name: NAME, run };
