// The broker that is measured: `omp broker` in a process of its own, with a data directory of its own.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { PLUGIN_CONFIG_FILE, startBroker } from "../test/support/omp.ts";
import type { Cleanup } from "./cleanup.ts";
import type { BrokerStore } from "./database.ts";
import type { ProbeCounts } from "./probe.ts";
import { ProcessWatch } from "./process-watch.ts";
import type { MeasuredBroker } from "./scenario.ts";

const probe = new URL("probe.ts", import.meta.url).href;
const garbage = new URL("garbage.ts", import.meta.url).href;

export interface BrokerProcessOptions {
  readonly dataDirectory: string;
  readonly plugin: boolean;
  /** Where it stores; absent: SQLite. */
  readonly store?: BrokerStore;
  /** mqtt.max_mqueue_len. */
  readonly maxMqueueLen?: number;
  /** `key:secret` of who may use the HTTP API. */
  readonly apiKey?: string;
  /** Where the process writes its CPU profiles. */
  readonly profiles?: string;
}

export interface BrokerProcess extends MeasuredBroker {
  /** Where the HTTP API is. */
  readonly apiUrl: string;
  /** Ends it; returns what the store's worker was given. */
  stop(): Promise<ProbeCounts>;
}

export async function startBrokerProcess(cleanup: Cleanup, options: BrokerProcessOptions): Promise<BrokerProcess> {
  const { dataDirectory, plugin, store, maxMqueueLen, apiKey, profiles } = options;
  if (maxMqueueLen !== undefined) {
    writeFileSync(join(dataDirectory, "omp.hocon"), `mqtt { max_mqueue_len = ${maxMqueueLen} }\n`);
  }
  if (store !== undefined) {
    const file = join(dataDirectory, PLUGIN_CONFIG_FILE);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, store.configuration);
  }
  const keys = join(dataDirectory, "keys");
  if (apiKey !== undefined) writeFileSync(keys, apiKey);
  const countsFile = join(dataDirectory, "probe.json");
  const nodeOptions = [`--import=${store?.probe ?? probe}`, `--import=${garbage}`];
  if (profiles !== undefined && plugin) nodeOptions.push("--cpu-prof", `--cpu-prof-dir=${profiles}`);
  const broker = await startBroker(cleanup, {
    dataDirectory,
    args: [
      ...["--log-level", "warn"],
      ...(plugin ? [] : ["--without-plugins"]),
      ...(apiKey === undefined ? [] : ["--api-keys", keys]),
    ],
    env: { ...process.env, NODE_OPTIONS: nodeOptions.join(" "), OMP_BENCH_PROBE: countsFile },
  });
  const watch = new ProcessWatch(broker.child.pid);
  cleanup.after(() => watch.stop());
  return {
    address: broker.address,
    apiUrl: new URL("/api/v5", broker.metricsUrl).href,
    watch,
    collectGarbage: () => broker.child.process.kill("SIGUSR2"),
    async stop(): Promise<ProbeCounts> {
      watch.stop();
      const { code, stderr } = await broker.stop();
      if (code !== 0) throw new Error(`the broker ended with code ${code}\n${stderr}`);
      return JSON.parse(readFileSync(countsFile, "utf8")) as ProbeCounts;
    },
  };
}
