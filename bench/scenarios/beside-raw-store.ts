// What store-publish and live share: publishers, measured with the plugin, without it, and beside the raw store.

import { median, milliseconds, percent, whole } from "../format.ts";
import type { Address } from "../load/connection.ts";
import type { Job, PublishersOptions } from "../load/jobs.ts";
import type { RawResult } from "../raw/jobs.ts";
import { saveRaw } from "../raw/raw-store.ts";
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

/** Messages that each publisher has under way. */
const WINDOW = 32;
const WARM_UP = 1_500;

interface Settings {
  readonly scenario: string;
  readonly publishers: number;
  readonly topic: string;
  /** The job, given what all have in common. */
  readonly job: (common: PublishersOptions & { readonly warmUp: number; readonly duration: number }) => Job;
  /** The raw store removes what it has saved. */
  readonly remove: boolean;
  /** The name of the latency. */
  readonly latency: string;
  /** Part of the lower limit that is aimed at. */
  readonly aim?: number;
}

export async function measureBesideRawStore(bench: Bench, settings: Settings): Promise<Report> {
  const { scenario, publishers, topic, remove, aim } = settings;
  const topics = Array.from({ length: publishers }, (_, number) => `${topic}/${number}`);
  const stored: OwnRun[] = [];
  const raw: RawResult[] = [];
  const alone: OwnRun[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const run = await publish(bench, settings, true);
    stored.push(run);
    raw.push(await saveRaw(bench, { topics, batch: Math.round(savedAtOnce(run)), warmUp: WARM_UP, remove }));
    alone.push(await publish(bench, settings, false));
  }
  const figures = { measured: middleRate(stored), store: middle(raw, rate), alone: middleRate(alone) };
  const ratio = figures.measured / Math.min(figures.store, figures.alone);
  const latency = (name: "p50" | "p99"): Row => {
    const of = (runs: readonly OwnRun[]): number => middle(runs, ({ result }) => result[name]);
    return figureRow(scenario, `${settings.latency} ${name}`, milliseconds, { measured: of(stored), alone: of(alone) });
  };
  return {
    rows: [
      figureRow(
        scenario,
        "messages/s",
        whole,
        figures,
        aim === undefined ? { ratio: percent(ratio) } : atLeast(ratio, aim),
      ),
      latency("p50"),
      latency("p99"),
    ],
    notes: [
      `${scenario}: rounds ${allRates(stored)}; ${median(stored.map(savedAtOnce)).toFixed(0)} messages saved in a transaction; ` +
        busy(stored),
    ],
  };
}

async function publish(bench: Bench, { publishers, topic, job }: Settings, plugin: boolean): Promise<OwnRun> {
  const run = await runOnBroker(bench, { plugin }, (address: Address) =>
    job({
      address,
      publishers,
      window: WINDOW,
      topic,
      topicPerPublisher: true,
      payloadBytes: PAYLOAD_BYTES,
      warmUp: WARM_UP,
      duration: bench.duration,
    }),
  );
  requireOrder(run.result);
  return run;
}
