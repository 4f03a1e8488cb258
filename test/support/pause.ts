// Makes a process hang, and knows that it does.

import { readdirSync, readFileSync } from "node:fs";

/** In ms. */
const STOP_TIMEOUT = 5_000;

/**
 * Returns when all threads of the process stand still. The signal alone does not say so: a thread that runs on another core goes
 * on for a moment, and a database answers one more statement. Blocks meanwhile, for less than a millisecond as a rule. Throws
 * when they still run after 5 s, or when there is no such process.
 */
export function pauseProcess(pid: number): void {
  process.kill(pid, "SIGSTOP");
  const end = performance.now() + STOP_TIMEOUT;
  while (!threadStates(pid).every((state) => state === "T" || state === "t")) {
    if (performance.now() > end) throw new Error(`process ${pid} still runs ${STOP_TIMEOUT} ms after SIGSTOP`);
  }
}

/** As /proc has them: `T` is stopped. A thread that has ended meanwhile is left out. */
function threadStates(pid: number): string[] {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.flatMap((thread) => {
    try {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
      return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
    } catch {
      return [];
    }
  });
}
