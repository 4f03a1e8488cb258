// Runs one job of raw Redis in a worker thread of this process.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { RawRedisJob, RawRedisResult } from "./redis-jobs.ts";

export async function runRawRedis(job: RawRedisJob): Promise<RawRedisResult> {
  const worker = new Worker(new URL("redis-worker.ts", import.meta.url), { workerData: job });
  const [result] = (await once(worker, "message")) as [RawRedisResult];
  await worker.terminate();
  return result;
}
