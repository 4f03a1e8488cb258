// Runs one job of a raw database server in a worker thread of this process.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { RawResult } from "./jobs.ts";
import type { ServerJob, ServerWork } from "./server-jobs.ts";

/** `script` stands beside this file. Rejects when the work fails. */
export async function runRawServer<Place>(script: string, place: Place, job: ServerJob): Promise<RawResult> {
  const work: ServerWork<Place> = { place, job };
  const worker = new Worker(new URL(script, import.meta.url), { workerData: work });
  const [result] = (await once(worker, "message")) as [RawResult];
  await worker.terminate();
  return result;
}
