// live: ten publishers and a subscriber, all online, on stored topics. A publisher has at most 32 messages under way, from
// sending until the subscriber has it, so that what is measured is neither a growing queue nor a loss.

import { join } from "node:path";
import { median, milliseconds, NONE, percent, whole } from "../format.ts";
import type { JobResult } from "../load/jobs.ts";
import { runRaw } from "../raw/raw-store.ts";
import { type Bench, PAYLOAD_BYTES, type Report, rate, requireOrder, type Row, type Scenario } from "../scenario.ts";

const PUBLISHERS = 10;
const WINDOW = 32;
const WARM_UP = 1_500;
const TOPIC = "bench/live";

async function run(bench: Bench): Promise<Report> {
  const measured: JobResult[] = [];
  const alone: JobResult[] = [];
  const store: number[] = [];
  const batches: number[] = [];
  const brokerLoad: number[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const stored = await publishAndReceive(bench, true);
    measured.push(stored.result);
    batches.push(stored.batch);
    brokerLoad.push(stored.processors);
    store.push(rate(await saveAndRemoveRaw(bench, Math.round(stored.batch))));
    alone.push((await publishAndReceive(bench, false)).result);
  }
  const middle = (results: readonly JobResult[], of: (result: JobResult) => number): number => median(results.map(of));
  const scenario = "live";
  const ratio = middle(measured, rate) / Math.min(median(store), middle(alone, rate));
  const latency = (figure: "p50" | "p99"): Row => ({
    scenario,
    figure: `end to end ${figure}`,
    measured: milliseconds(middle(measured, (result) => result[figure])),
    store: NONE,
    alone: milliseconds(middle(alone, (result) => result[figure])),
    ratio: NONE,
    reach: "",
  });
  return {
    rows: [
      {
        scenario,
        figure: "messages/s",
        measured: whole(middle(measured, rate)),
        store: whole(median(store)),
        alone: whole(middle(alone, rate)),
        ratio: percent(ratio),
        reach: "",
      },
      latency("p50"),
      latency("p99"),
    ],
    notes: [
      `${scenario}: rounds ${measured.map((result) => whole(rate(result))).join(", ")}; ${median(batches).toFixed(0)} messages saved ` +
        `in a transaction; the broker kept ${median(brokerLoad).toFixed(2)} processors busy, the load generator ` +
        `${middle(measured, (result) => result.cpuSeconds / result.seconds).toFixed(2)}`,
    ],
  };
}

async function publishAndReceive(bench: Bench, plugin: boolean) {
  const broker = await bench.startBroker({ dataDirectory: bench.directory(), plugin });
  broker.watch.begin();
  const result = await bench.load.run({
    kind: "live",
    address: broker.address,
    publishers: PUBLISHERS,
    window: WINDOW,
    topic: TOPIC,
    topicPerPublisher: true,
    topicFilter: `${TOPIC}/#`,
    payloadBytes: PAYLOAD_BYTES,
    warmUp: WARM_UP,
    duration: bench.duration,
  });
  const { processors } = broker.watch;
  requireOrder(result);
  const { saved, transactionsWithSaves } = await broker.stop();
  return { result, processors, batch: saved / Math.max(1, transactionsWithSaves) };
}

function saveAndRemoveRaw(bench: Bench, batch: number) {
  return runRaw({
    kind: "save",
    path: join(bench.directory(), "messages.db"),
    topics: Array.from({ length: PUBLISHERS }, (_, number) => `${TOPIC}/${number}`),
    payloadBytes: PAYLOAD_BYTES,
    batch,
    warmUp: WARM_UP,
    duration: bench.duration,
    remove: true,
  });
}

export const live: Scenario = { name: "live", run };
