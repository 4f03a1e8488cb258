// sequential: one publisher that waits for each PUBACK, beside one durable commit measured alone.

import { milliseconds, whole } from "../format.ts";
import type { JobResult } from "../load/jobs.ts";
import type { RawResult } from "../raw/jobs.ts";
import { saveRaw } from "../raw/raw-store.ts";
import { figureRow } from "../rows.ts";
import { middle, rate, runOnBroker } from "../runs.ts";
import { type Bench, PAYLOAD_BYTES, type Report, type Row, type Scenario } from "../scenario.ts";

const WARM_UP = 500;
const TOPIC = "bench/sequential";
/** The p50 that is aimed at, in commits. */
const REACH = 3;

type Timing = JobResult | RawResult;

async function run(bench: Bench): Promise<Report> {
  const measured: JobResult[] = [];
  const commits: RawResult[] = [];
  const alone: JobResult[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    measured.push(await publish(bench, true));
    commits.push(await saveRaw(bench, { topics: [TOPIC], batch: 1, warmUp: WARM_UP, remove: false }));
    alone.push(await publish(bench, false));
  }
  const row = (name: "p50" | "p99"): Row => {
    const of = (timings: readonly Timing[]): number => middle(timings, (timing) => timing[name]);
    const figures = { measured: of(measured), store: of(commits), alone: of(alone) };
    const ratio = figures.measured / figures.store;
    return figureRow("sequential", `PUBACK ${name}`, milliseconds, figures, {
      ratio: `${ratio.toFixed(1)} ×`,
      reach: name === "p50" ? `< ${REACH} commits: ${ratio < REACH ? "yes" : "no"}` : "",
    });
  };
  const perSecond = (timings: readonly Timing[]): string => whole(middle(timings, rate));
  return {
    rows: [row("p50"), row("p99")],
    notes: [
      `sequential: ${perSecond(measured)} messages/s; ${perSecond(commits)} commits/s of one row; ` +
        `${perSecond(alone)} messages/s without the plugin`,
    ],
  };
}

async function publish(bench: Bench, plugin: boolean): Promise<JobResult> {
  const { result } = await runOnBroker(bench, { plugin }, (address) => ({
    kind: "publishFor",
    address,
    publishers: 1,
    window: 1,
    topic: TOPIC,
    topicPerPublisher: false,
    payloadBytes: PAYLOAD_BYTES,
    warmUp: WARM_UP,
    duration: bench.duration,
  }));
  return result;
}

export const sequential: Scenario = { name: "sequential", run };
