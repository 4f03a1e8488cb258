// sequential: one publisher that waits for each PUBACK, beside one durable commit measured alone.

import { join } from "node:path";
import { median, milliseconds, whole } from "../format.ts";
import { runRaw } from "../raw/raw-store.ts";
import { type Bench, PAYLOAD_BYTES, type Report, rate, type Row, type Scenario } from "../scenario.ts";

const WARM_UP = 500;
const TOPIC = "bench/sequential";
/** The p50 that is aimed at, in commits. */
const REACH = 3;

type Timing = { p50: number; p99: number; messages: number; seconds: number };

async function run(bench: Bench): Promise<Report> {
  const measured: Timing[] = [];
  const commits: Timing[] = [];
  const alone: Timing[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    measured.push(await publish(bench, true));
    commits.push(await commit(bench));
    alone.push(await publish(bench, false));
  }
  const middle = (timings: readonly Timing[], of: (timing: Timing) => number): number => median(timings.map(of));
  const row = (figure: "p50" | "p99"): Row => {
    const ratio = middle(measured, (timing) => timing[figure]) / middle(commits, (timing) => timing[figure]);
    return {
      scenario: "sequential",
      figure: `PUBACK ${figure}`,
      measured: milliseconds(middle(measured, (timing) => timing[figure])),
      store: milliseconds(middle(commits, (timing) => timing[figure])),
      alone: milliseconds(middle(alone, (timing) => timing[figure])),
      ratio: `${ratio.toFixed(1)} ×`,
      reach: figure === "p50" ? `< ${REACH} commits: ${ratio < REACH ? "yes" : "no"}` : "",
    };
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

async function publish(bench: Bench, plugin: boolean): Promise<Timing> {
  const broker = await bench.startBroker({ dataDirectory: bench.directory(), plugin });
  const result = await bench.load.run({
    kind: "publishFor",
    address: broker.address,
    publishers: 1,
    window: 1,
    topic: TOPIC,
    topicPerPublisher: false,
    payloadBytes: PAYLOAD_BYTES,
    warmUp: WARM_UP,
    duration: bench.duration,
  });
  await broker.stop();
  return result;
}

function commit(bench: Bench): Promise<Timing> {
  return runRaw({
    kind: "save",
    path: join(bench.directory(), "messages.db"),
    topics: [TOPIC],
    payloadBytes: PAYLOAD_BYTES,
    batch: 1,
    warmUp: WARM_UP,
    duration: bench.duration,
    remove: false,
  });
}

export const sequential: Scenario = { name: "sequential", run };
