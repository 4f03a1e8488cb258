// Runs one job of the raw store in a worker thread of this process.

import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { type Bench, PAYLOAD_BYTES } from "../scenario.ts";
import type { RawJob, RawResult, RawSave } from "./jobs.ts";

export async function runRaw(job: RawJob): Promise<RawResult> {
  const worker = new Worker(new URL("worker.ts", import.meta.url), {
    workerData: job,
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  const [result] = (await once(worker, "message")) as [RawResult];
  await worker.terminate();
  return result;
}

/** Saves messages in a new database, for as long as the scenarios measure. */
export function saveRaw(
  bench: Bench,
  options: Pick<RawSave, "topics" | "batch" | "warmUp" | "remove">,
): Promise<RawResult> {
  return runRaw({
    kind: "save",
    path: join(bench.directory(), "messages.db"),
    payloadBytes: PAYLOAD_BYTES,
    duration: bench.duration,
    ...options,
  });
}
