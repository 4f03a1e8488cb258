// The worker thread that keeps broker.db: takes one request after the other, and tidies up when it has been quiet
// for a while.

import { parentPort, workerData } from "node:worker_threads";
import { transferList } from "../../sqlite/message-columns.ts";
import { BrokerDatabase } from "./broker-database.ts";
import type { Reply, ToWorker } from "./protocol.ts";

/** How long without a request counts as quiet, in ms. */
const QUIET = 200;

const port = parentPort;
if (port === null) throw new Error("worker.ts runs in a worker thread only");

const database = new BrokerDatabase((workerData as { path: string }).path);
const quiet = setTimeout(tidyUp, QUIET);

port.on("message", (message: ToWorker) => {
  if (message.kind === "stop") {
    clearTimeout(quiet);
    database.close();
    port.close();
    return;
  }
  const reply: Reply = database.run(message);
  const messages = reply.kind === "rows" ? reply.messages : undefined;
  port.postMessage(reply, messages === undefined ? [] : transferList(messages));
  quiet.refresh();
});

/** One step; requests that have come in meanwhile go before the next. */
function tidyUp(): void {
  if (database.releasePages() === "more") setImmediate(tidyUp);
}
