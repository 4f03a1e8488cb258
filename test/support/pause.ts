// Makes a process hang, and knows that it does, from the states that Linux tells.

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
  while (!threadStates(pid).every((state) => state === "T")) {
    if (performance.now() > end) throw new Error(`process ${pid} still runs ${STOP_TIMEOUT} ms after SIGSTOP`);
  }
}

/** Of a process or thread by its folder in /proc, as in `ps`: R running, S sleeping, T stopped. Throws when it has ended. */
export function stateOf(folder: string): string {
  return readFileSync(`${folder}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .charAt(0);
}

/** A thread that has ended meanwhile is left out. */
function threadStates(pid: number): string[] {
  const threads = `/proc/${pid}/task`;
  return readdirSync(threads).flatMap((thread) => {
    try {
      return stateOf(`${threads}/${thread}`);
    } catch {
      return [];
    }
  });
}
