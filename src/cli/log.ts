// The log of the command: pino behind our Logger, as text or JSON on standard error.

import { pino } from "pino";
import type { Logger } from "../mqtt/logger.ts";
import { formatLogEntry } from "./log-text.ts";
import type { OmpConfig } from "./omp-config.ts";
import type { WaitingLog } from "./process-end.ts";

/** Characters that may wait for a reader who does not read; what comes then is dropped, and the broker goes on. */
const MAX_WAITING = 1024 * 1024;
const STANDARD_ERROR = 2;

/** A log, and whether entries of it wait to be written. */
export interface Log extends WaitingLog {
  readonly logger: Logger;
}

/** Writes without waiting for the reader; what waits is written when the process ends. */
export function openLog({ level, format }: OmpConfig["log"]): Log {
  const destination = pino.destination({ dest: STANDARD_ERROR, sync: false, maxLength: MAX_WAITING });
  let isWaiting = false;
  let isBroken = false;
  destination.on("drain", () => {
    isWaiting = false;
  });
  // Nobody reads, or the disk is full: there is no place left to say so, and the broker goes on.
  destination.on("error", () => {
    isBroken = true;
  });
  const write = (line: string): void => {
    isWaiting = true;
    destination.write(format === "json" ? line : formatLogEntry(line));
  };
  return {
    logger: pino({ level, base: undefined }, { write }),
    get isWaiting() {
      return isWaiting && !isBroken;
    },
  };
}
