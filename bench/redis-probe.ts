// Loaded into the broker process: counts what the store hands to the Redis library in one pipeline, so that raw Redis can be
// measured with the batch sizes that the broker really had. Writes its counts to the file named in OMP_BENCH_PROBE at the end.

import { writeFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import { type Command, Pipeline } from "ioredis";
import type { ProbeCounts } from "./probe.ts";

const path = process.env.OMP_BENCH_PROBE;

if (isMainThread && path !== undefined) {
  const counts: ProbeCounts = { saved: 0, transactionsWithSaves: 0, removed: 0, transactionsWithRemovals: 0 };
  const saving = new WeakSet<Pipeline>();
  const { sendCommand } = Pipeline.prototype;
  Pipeline.prototype.sendCommand = function (this: Pipeline, command: Command): unknown {
    if (command.name === "HSET") {
      counts.saved++;
      if (!saving.has(this)) counts.transactionsWithSaves++;
      saving.add(this);
    } else if (command.name === "DEL") {
      counts.removed += command.args.length;
      counts.transactionsWithRemovals++;
    }
    return sendCommand.call(this, command);
  };
  process.on("exit", () => writeFileSync(path, JSON.stringify(counts)));
}
