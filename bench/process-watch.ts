// Memory and processor time of a process, as /proc tells them.

import { readFileSync } from "node:fs";

/** Time between two looks at the memory, in ms. */
const INTERVAL = 100;
/** Clock ticks in a second, on every Linux that Node runs on. */
const TICKS = 100;

export class ProcessWatch {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #peak = 0;
  #cpuStart = 0;
  #timeStart = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.#look(), INTERVAL);
  }

  /** Resident memory in bytes. */
  get memory(): number {
    const [, kib] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.#pid}/status`, "utf8")) ?? [];
    return Number(kib) * 1024;
  }

  /** The highest memory seen since `begin`, in bytes. */
  get peak(): number {
    this.#look();
    return this.#peak;
  }

  /** Processors kept busy on average since `begin`. */
  get processors(): number {
    return (this.#cpu() - this.#cpuStart) / ((performance.now() - this.#timeStart) / 1000);
  }

  /** Starts to measure. */
  begin(): void {
    this.#cpuStart = this.#cpu();
    this.#timeStart = performance.now();
    this.#peak = this.memory;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#peak = Math.max(this.#peak, this.memory);
  }

  /** Processor time in seconds. */
  #cpu(): number {
    const stat = readFileSync(`/proc/${this.#pid}/stat`, "utf8");
    // The name of the program, in parentheses, may contain anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
  }
}
