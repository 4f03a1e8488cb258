// The worker thread: takes batches one after the other, and tidies up when it has been quiet for a while.

import { parentPort, workerData } from "node:worker_threads";
import { transferList } from "../../sqlite/message-columns.ts";
import { BatchRunner } from "./batch-runner.ts";
import type { WorkerOptions } from "./options.ts";
import type { Reply, ToWorker } from "./protocol.ts";

/** How long without a batch counts as quiet, in ms. */
const QUIET = 200;

const port = parentPort;
if (port === null) throw new Error("worker.ts runs in a worker thread only");

const runner = new BatchRunner(workerData as WorkerOptions);
const quiet = setTimeout(tidyUp, QUIET);

port.on("message", (message: ToWorker) => {
  if (message.kind === "stop") {
    clearTimeout(quiet);
    runner.close();
    port.close();
    return;
  }
  const reply = runner.run(message);
  port.postMessage(reply, buffersOf(reply));
  quiet.refresh();
  // A store that is never quiet shrinks behind its sweeps.
  if (message.requests.some((request) => request?.kind === "expire")) runner.releasePages();
});

/** One step; batches that have come in meanwhile go before the next. */
function tidyUp(): void {
  if (runner.releasePages() === "more") setImmediate(tidyUp);
}

function buffersOf(reply: Reply): ArrayBuffer[] {
  return reply.results.flatMap(([, result]) =>
    "positions" in result ? [...transferList(result.messages), result.positions.buffer] : [],
  );
}
