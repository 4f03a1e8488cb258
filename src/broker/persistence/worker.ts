// The worker thread that keeps broker.db: takes one request after the other.

import { parentPort, workerData } from "node:worker_threads";
import { transferList } from "../../sqlite/message-columns.ts";
import { BrokerDatabase } from "./broker-database.ts";
import type { Reply, ToWorker } from "./protocol.ts";

const port = parentPort;
if (port === null) throw new Error("worker.ts runs in a worker thread only");

const database = new BrokerDatabase((workerData as { path: string }).path);

port.on("message", (message: ToWorker) => {
  if (message.kind === "stop") {
    database.close();
    port.close();
    return;
  }
  const reply: Reply = database.run(message);
  const messages = reply.kind === "rows" ? reply.messages : undefined;
  port.postMessage(reply, messages === undefined ? [] : transferList(messages));
});
