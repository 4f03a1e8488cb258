// The sink of load/puback-sink.ts in a process of its own, in place of a broker.

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Cleanup } from "./cleanup.ts";
import type { Address } from "./load/connection.ts";
import { ProcessWatch } from "./process-watch.ts";
import type { MeasuredBroker } from "./scenario.ts";

const main = fileURLToPath(new URL("load/puback-sink.ts", import.meta.url));

export async function startSink(cleanup: Cleanup): Promise<MeasuredBroker> {
  const child = fork(main);
  const exited = once(child, "exit");
  const started = await Promise.race([once(child, "message"), exited.then(() => undefined)]);
  if (started === undefined || child.pid === undefined) throw new Error("the sink did not start");
  const [{ address: host, port }] = started as [{ address: string; port: number }];
  const watch = new ProcessWatch(child.pid);
  const stop = async (): Promise<void> => {
    watch.stop();
    if (child.connected) child.disconnect();
    await exited;
  };
  cleanup.after(stop);
  return { address: { host, port } satisfies Address, watch, stop };
}
