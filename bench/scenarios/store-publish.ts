// store-publish: 50 publishers, window 32, QoS 1, 128 bytes, a topic each, nobody subscribed.

import { join } from "node:path";
import { median, milliseconds, percent, whole } from "../format.ts";
import { runRaw } from "../raw/raw-store.ts";
import { type Bench, PAYLOAD_BYTES, type Report, rate, type Scenario } from "../scenario.ts";

const PUBLISHERS = 50;
const WINDOW = 32;
const WARM_UP = 1_500;
const TOPIC = "bench/store-publish";
/** Part of the lower limit that is aimed at. */
const REACH = 0.6;

async function run(bench: Bench): Promise<Report> {
  const measured: number[] = [];
  const store: number[] = [];
  const alone: number[] = [];
  const p50: number[] = [];
  const p99: number[] = [];
  const aloneP50: number[] = [];
  const aloneP99: number[] = [];
  const batches: number[] = [];
  const brokerLoad: number[] = [];
  const generatorLoad: number[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const stored = await publish(bench, true);
    measured.push(rate(stored.result));
    p50.push(stored.result.p50);
    p99.push(stored.result.p99);
    batches.push(stored.batch);
    brokerLoad.push(stored.processors);
    generatorLoad.push(stored.result.cpuSeconds / stored.result.seconds);
    store.push(rate(await saveRaw(bench, Math.round(stored.batch))));
    const { result } = await publish(bench, false);
    alone.push(rate(result));
    aloneP50.push(result.p50);
    aloneP99.push(result.p99);
  }
  const ratio = median(measured) / Math.min(median(store), median(alone));
  const scenario = "store-publish";
  const latency = (name: string, values: number[], aloneValues: number[]) => ({
    scenario,
    figure: `PUBACK ${name}`,
    measured: milliseconds(median(values)),
    store: "–",
    alone: milliseconds(median(aloneValues)),
    ratio: "–",
    reach: "",
  });
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
      latency("p50", p50, aloneP50),
      latency("p99", p99, aloneP99),
    ],
    notes: [
      `${scenario}: rounds ${measured.map(whole).join(", ")}; ${median(batches).toFixed(0)} messages in a transaction; ` +
        `the broker kept ${median(brokerLoad).toFixed(2)} processors busy, the load generator ${median(generatorLoad).toFixed(2)}`,
    ],
  };
}

async function publish(bench: Bench, plugin: boolean) {
  const broker = await bench.startBroker({ dataDirectory: bench.directory(), plugin });
  broker.watch.begin();
  const result = await bench.load.run({
    kind: "publishFor",
    address: broker.address,
    publishers: PUBLISHERS,
    window: WINDOW,
    topic: TOPIC,
    topicPerPublisher: true,
    payloadBytes: PAYLOAD_BYTES,
    warmUp: WARM_UP,
    duration: bench.duration,
  });
  const { processors } = broker.watch;
  const { saved, transactionsWithSaves } = await broker.stop();
  return { result, processors, batch: saved / Math.max(1, transactionsWithSaves) };
}

function saveRaw(bench: Bench, batch: number) {
  return runRaw({
    kind: "save",
    path: join(bench.directory(), "messages.db"),
    topics: Array.from({ length: PUBLISHERS }, (_, number) => `${TOPIC}/${number}`),
    payloadBytes: PAYLOAD_BYTES,
    batch,
    warmUp: WARM_UP,
    duration: bench.duration,
    remove: false,
  });
}

export const storePublish: Scenario = { name: "store-publish", run };
