// Loaded into the broker process: counts what the SQLite store hands to its worker, so that the raw store can be measured
// with the batch sizes that the broker really had. Writes its counts to the file named in OMP_BENCH_PROBE at the end.

import { writeFileSync } from "node:fs";
import { isMainThread, Worker } from "node:worker_threads";
import type { ToWorker } from "../src/store/sqlite/protocol.ts";

/** Sums over the life of the process. */
export interface ProbeCounts {
  saved: number;
  transactionsWithSaves: number;
  removed: number;
  transactionsWithRemovals: number;
}

const path = process.env.OMP_BENCH_PROBE;

if (isMainThread && path !== undefined) {
  const counts: ProbeCounts = { saved: 0, transactionsWithSaves: 0, removed: 0, transactionsWithRemovals: 0 };
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (this: Worker, ...given: Parameters<typeof postMessage>): void {
    count(counts, given[0] as ToWorker);
    postMessage.apply(this, given);
  };
  process.on("exit", () => writeFileSync(path, JSON.stringify(counts)));
}

function count(counts: ProbeCounts, message: ToWorker): void {
  if (message.kind !== "batch") return;
  const saved = message.messages.ids.length;
  let removed = 0;
  for (const request of message.requests) if (request?.kind === "deleteMessages") removed += request.ids.length;
  counts.saved += saved;
  counts.removed += removed;
  if (saved > 0) counts.transactionsWithSaves += 1;
  if (removed > 0) counts.transactionsWithRemovals += 1;
}
