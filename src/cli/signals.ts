// SIGHUP: read again what can be. SIGTERM and SIGINT: the first asks for a clean stop; a further one, once the first had its second, ends the process.
// A command that is done soon is ended by each of them, and undoes before what it has not finished.

import type { Logger } from "../mqtt/logger.ts";
import type { ProcessEnd } from "./process-end.ts";

/** How long a clean stop may take, in ms. */
const STOP_LIMIT = 30_000;
/** A signal that goes to the whole process group comes more than once: `make` passes on the one it got itself. In ms. */
const ONE_REQUEST = 1_000;

/** Settles with the first signal. A further one, or a stop that takes too long, ends the process. */
export function untilStopped(logger: Logger, processEnd: ProcessEnd): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  let first: number | undefined;
  const handle = (signal: NodeJS.Signals): void => {
    if (first !== undefined) {
      if (performance.now() - first >= ONE_REQUEST) processEnd.bySignal(signal);
      return;
    }
    first = performance.now();
    setTimeout(() => {
      logger.error({}, `not stopped after ${STOP_LIMIT / 1000} s: ending without it`);
      void processEnd.exit(1);
    }, STOP_LIMIT).unref();
    resolve(signal);
  };
  process.on("SIGTERM", handle);
  process.on("SIGINT", handle);
  return promise;
}

/** Calls back at each SIGHUP. It does not end the process any more, as for every service. */
export function onHangUp(callback: () => void): void {
  process.on("SIGHUP", callback);
}

/** Runs a command that leaves nothing behind when a signal ends it early; `undo` must not wait for anything. */
export async function undoneBySignals<T>(work: () => Promise<T>, undo: () => void): Promise<T> {
  const signals = ["SIGHUP", "SIGINT", "SIGTERM"] as const;
  const handle = (signal: NodeJS.Signals): void => {
    undo();
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  };
  for (const signal of signals) process.on(signal, handle);
  try {
    return await work();
  } finally {
    for (const signal of signals) process.off(signal, handle);
  }
}
