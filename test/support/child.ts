// Child processes of tests: started, watched, and ended by their own process id.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Scope } from "./temporary-directory.ts";
import { waitFor, within } from "./wait-for.ts";

export interface ChildOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Written to the child's standard input, which is then closed. */
  readonly input?: string | Uint8Array;
  /** Standard input stays open, for whoever writes to `process.stdin`. */
  readonly keepInput?: boolean;
}

export interface ChildResult {
  /** The exit code; absent when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running child process and all that it has written so far. */
export class Child {
  readonly process: ChildProcess;
  /** Settles when the process has ended and its output is read to the end. */
  readonly ended: Promise<ChildResult>;
  stdout = "";
  stderr = "";
  #over = false;

  constructor(command: string, args: readonly string[], options: ChildOptions = {}) {
    this.process = spawn(command, args, { env: options.env, cwd: options.cwd, stdio: "pipe" });
    this.process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    // A child that ends without reading its input is no error of the test.
    this.process.stdin?.on("error", () => {});
    if (!options.keepInput) this.process.stdin?.end(options.input);
    this.ended = once(this.process, "close").then(([code, signal]) => {
      this.#over = true;
      return { code, signal, stdout: this.stdout, stderr: this.stderr };
    });
    // Whoever waits for the end gets the error; nobody has to.
    this.ended.catch(() => {
      this.#over = true;
    });
  }

  get pid(): number {
    if (this.process.pid === undefined) throw new Error("the process did not start");
    return this.process.pid;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Waits until standard output or error matches the pattern; returns the match. */
  async output(pattern: RegExp, timeout = 10_000): Promise<RegExpMatchArray> {
    return waitFor(
      () => {
        const match = this.stdout.match(pattern) ?? this.stderr.match(pattern);
        if (!match && this.#over) {
          throw new Error(`ended without writing ${pattern}\nstdout: ${this.stdout}\nstderr: ${this.stderr}`);
        }
        return match;
      },
      { what: `output ${pattern}`, timeout },
    );
  }

  /** Sends the signal and waits for the end. */
  async stop(signal: NodeJS.Signals = "SIGTERM", timeout = 10_000): Promise<ChildResult> {
    if (!this.#over) this.process.kill(signal);
    return within(this.ended, { what: `the end of process ${this.process.pid}`, timeout });
  }
}

/** Starts a process that is killed after the test if it still runs then. */
export function startChild(scope: Scope, command: string, args: readonly string[], options?: ChildOptions): Child {
  const child = new Child(command, args, options);
  scope.after(async () => {
    if (!child.over) await child.stop("SIGKILL");
  });
  return child;
}

/** Runs a process to its end. */
export async function runChild(
  command: string,
  args: readonly string[],
  options: ChildOptions & { readonly timeout?: number } = {},
): Promise<ChildResult> {
  const { timeout = 30_000 } = options;
  const child = new Child(command, args, options);
  try {
    return await within(child.ended, { what: `the end of ${command} ${args.join(" ")}`, timeout });
  } finally {
    if (!child.over) child.process.kill("SIGKILL");
  }
}
