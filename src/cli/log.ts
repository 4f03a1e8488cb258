// The log of the command: pino behind our Logger, as text or JSON on standard error.

import { pino } from "pino";
import type { Logger } from "../mqtt/logger.ts";
import { formatLogEntry } from "./log-text.ts";
import type { OmpConfig } from "./omp-config.ts";

/** Characters that may wait for a reader who does not read; what comes then is dropped, and the broker goes on. */
const MAX_WAITING = 1024 * 1024;
const STANDARD_ERROR = 2;

/** Writes without waiting for the reader; what waits is written when the process ends. */
export function openLog({ level, format }: OmpConfig["log"]): Logger {
  const destination = pino.destination({ dest: STANDARD_ERROR, sync: false, maxLength: MAX_WAITING });
  const stream =
    format === "json" ? destination : { write: (line: string) => void destination.write(formatLogEntry(line)) };
  return pino({ level, base: undefined }, stream);
}
