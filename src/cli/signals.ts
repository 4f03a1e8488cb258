// SIGTERM and SIGINT: the first asks for a clean stop, the second ends the process at once.

import { constants } from "node:os";
import type { Logger } from "../mqtt/logger.ts";

/** How long a clean stop may take, in ms. */
const STOP_LIMIT = 30_000;
/** A process that a signal ended has this plus the signal's number as exit code. */
const SIGNAL_EXIT_CODE = 128;

/** Settles with the first signal. A second one, or a stop that takes too long, ends the process. */
export function untilStopped(logger: Logger): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  let isStopping = false;
  const handle = (signal: NodeJS.Signals): void => {
    if (isStopping) process.exit(SIGNAL_EXIT_CODE + constants.signals[signal]);
    isStopping = true;
    setTimeout(() => {
      logger.error({}, `not stopped after ${STOP_LIMIT / 1000} s: ending without it`);
      process.exit(1);
    }, STOP_LIMIT).unref();
    resolve(signal);
  };
  process.on("SIGTERM", handle);
  process.on("SIGINT", handle);
  return promise;
}
