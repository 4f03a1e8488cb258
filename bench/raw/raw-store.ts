// Runs one job of the raw store in a worker thread of this process.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { RawJob, RawResult } from "./jobs.ts";

export async function runRaw(job: RawJob): Promise<RawResult> {
  const worker = new Worker(new URL("worker.ts", import.meta.url), {
    workerData: job,
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  const [result] = (await once(worker, "message")) as [RawResult];
  await worker.terminate();
  return result;
}
