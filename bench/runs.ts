// Single runs of a broker under load, and what several of them say together.

import type { BrokerProcess, BrokerProcessOptions } from "./broker-process.ts";
import { median, whole } from "./format.ts";
import type { Address } from "./load/connection.ts";
import type { Job, JobResult } from "./load/jobs.ts";
import type { ProbeCounts } from "./probe.ts";
import type { Bench, MeasuredBroker } from "./scenario.ts";

export interface Run {
  readonly result: JobResult;
  /** Processors that the broker kept busy. */
  readonly processors: number;
}

/** A run of the broker of this project. */
export interface OwnRun extends Run {
  /** What the store's worker was given. */
  readonly counts: ProbeCounts;
}

/** What a publisher or a raw store reaches. */
interface Rated {
  readonly messages: number;
  readonly seconds: number;
}

export async function runJob(
  bench: Bench,
  { address, watch }: MeasuredBroker,
  job: (address: Address) => Job,
): Promise<Run> {
  watch.begin();
  const result = await bench.load.run(job(address));
  return { result, processors: watch.processors };
}

/** Runs a job on a broker that is started for it, with new data, and stopped afterwards; `beside` does something else meanwhile. */
export async function runOnBroker(
  bench: Bench,
  options: Pick<BrokerProcessOptions, "plugin" | "store" | "apiKey">,
  job: (address: Address) => Job,
  beside: (broker: BrokerProcess) => AsyncDisposable | undefined = () => undefined,
): Promise<OwnRun> {
  const broker = await bench.startBroker({ dataDirectory: bench.directory(), ...options });
  const other = beside(broker);
  const run = await runJob(bench, broker, job);
  await other?.[Symbol.asyncDispose]();
  return { ...run, counts: await broker.stop() };
}

/** Messages per second. */
export function rate({ messages, seconds }: Rated): number {
  return messages / seconds;
}

/** The median of one figure of each. */
export function middle<T>(items: readonly T[], of: (item: T) => number): number {
  return median(items.map(of));
}

/** The median of the messages per second. */
export function middleRate(runs: readonly Run[]): number {
  return middle(runs, ({ result }) => rate(result));
}

/** The messages per second of every round, in words. */
export function allRates(runs: readonly Run[]): string {
  return runs.map(({ result }) => whole(rate(result))).join(", ");
}

/** How busy broker and load generator were, in words. */
export function busy(runs: readonly Run[], broker = "the broker"): string {
  const generator = middle(runs, ({ result }) => result.cpuSeconds / result.seconds);
  const processors = middle(runs, (run) => run.processors).toFixed(2);
  return `${broker} kept ${processors} processors busy, the load generator ${generator.toFixed(2)}`;
}

/** How many messages were saved in a transaction. */
export function savedAtOnce({ counts }: OwnRun): number {
  return counts.saved / Math.max(1, counts.transactionsWithSaves);
}

/** Throws when something was lost, repeated or out of order: then the speed means nothing. */
export function requireOrder(result: JobResult, messages?: number): void {
  const { missing, repeated } = result.disorder;
  if (missing === 0 && repeated === 0 && (messages === undefined || messages === result.messages)) return;
  throw new Error(
    `of ${messages ?? "all"} messages ${result.messages} came; ${missing} were passed over, ${repeated} came again`,
  );
}
