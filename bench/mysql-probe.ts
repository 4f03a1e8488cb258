// Loaded into the broker process: counts the messages that the store saves and removes with one statement in MySQL, so that the raw
// server can be measured with the batch sizes that the broker really had. Writes its counts to the file named in
// OMP_BENCH_PROBE at the end.

import { writeFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import { MySqlConnection } from "../src/store/mysql/connection.ts";
import type { ProbeCounts } from "./probe.ts";

const path = process.env.OMP_BENCH_PROBE;

if (isMainThread && path !== undefined) {
  const counts: ProbeCounts = { saved: 0, transactionsWithSaves: 0, removed: 0, transactionsWithRemovals: 0 };
  const { execute } = MySqlConnection.prototype;
  MySqlConnection.prototype.execute = async function (this: MySqlConnection, ...given: Parameters<typeof execute>) {
    const result = await execute.apply(this, given);
    const [sql] = given;
    if (/^insert into mqtt_msg/i.test(sql)) {
      counts.saved += result.affectedRows;
      counts.transactionsWithSaves++;
    } else if (/^delete from mqtt_msg/i.test(sql) && result.affectedRows > 0) {
      counts.removed += result.affectedRows;
      counts.transactionsWithRemovals++;
    }
    return result;
  };
  process.on("exit", () => writeFileSync(path, JSON.stringify(counts)));
}
