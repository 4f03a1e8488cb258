// The engine that EMQX starts beside itself: what it is told on stdin, what it says on stdout, and its end.
//
// The first line of stdin has the secret and the directory; the end of stdin is the end of the engine, whoever closed it. Each line
// of stdout is JSON: where it listens, or the problem that keeps it from that, then its log.

import { createInterface } from "node:readline";
import type { Logger, LogMethod } from "../mqtt/logger.ts";
import type { EngineModule } from "../plugin/engine-module.ts";
import { lockDirectory } from "../sqlite/directory-lock.ts";
import { EmqxEngine } from "./emqx-engine.ts";
import { LinkOptionError } from "./link-error.ts";

/** How long what was begun may take at the end, in ms. */
const STOP_LIMIT = 10_000;
const PROTOCOL = 1;
/** Bytes of the log that wait for a reader; what comes then is dropped. */
const MAX_WAITING = 1024 * 1024;

interface Orders {
  readonly secret: Buffer;
  readonly dataDirectory: string;
}

export interface SpawnedParts {
  readonly module: EngineModule;
  readonly engineVersion: string;
}

/** Runs until stdin ends; then the process ends. Never rejects. */
export async function runSpawnedEngine({ module, engineVersion }: SpawnedParts): Promise<void> {
  // EMQX is gone: there is nobody to tell.
  process.stdout.on("error", () => {});
  // The end of EMQX's terminal. Whether EMQX ends with it is told by stdin.
  process.on("SIGHUP", () => {});
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const input = createInterface({ input: process.stdin });
  const { promise: first, resolve: begin } = Promise.withResolvers<string | undefined>();
  input.once("line", begin);
  input.once("close", () => {
    begin(undefined);
    end();
  });
  const orders = ordersOf(await first);
  if (typeof orders === "string") return fail(orders);
  const logger = logToStdout();
  let engine: EmqxEngine;
  let warning: string | undefined;
  try {
    warning = useDirectory(orders.dataDirectory);
    engine = new EmqxEngine({ module, engineVersion, ...orders, host: "127.0.0.1", port: 0, logger });
    const { port } = await engine.listen();
    say({ listening: port });
    if (warning !== undefined) logger.warn({}, warning);
  } catch (error) {
    return fail((error as Error).message);
  }
  await ended;
  setTimeout(() => process.exit(0), STOP_LIMIT).unref();
  await engine.stop("EMQX has ended the engine");
  process.exit(0);
}

function ordersOf(line: string | undefined): Orders | string {
  try {
    const { protocol, secret, dataDirectory } = JSON.parse(line ?? "") as Record<string, unknown>;
    if (protocol === PROTOCOL && typeof secret === "string" && typeof dataDirectory === "string") {
      return { secret: Buffer.from(secret), dataDirectory };
    }
  } catch {
    // Somebody else has started it.
  }
  return "The engine is started by the plugin inside EMQX, which tells it on its standard input what to do.";
}

/**
 * Goes there and locks it. Throws when it cannot be used, or another process has the lock. Where a lock is impossible, such as in a directory
 * that cannot be written, it returns a warning.
 */
function useDirectory(directory: string): string | undefined {
  try {
    process.chdir(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new LinkOptionError(`The engine cannot use the directory "${directory}": ${code}.`, { cause: error });
  }
  const { message, isTaken, cause } = lockDirectory(process.cwd()) ?? {};
  if (isTaken) {
    const problem = `The engine cannot start: ${message}: end it, or wait until it has ended.`;
    throw new LinkOptionError(problem, { cause });
  }
  return message;
}

function fail(problem: string): void {
  say({ problem });
  process.exitCode = 1;
  // Standard input would keep the process.
  process.stdin.destroy();
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function logToStdout(): Logger {
  const at =
    (level: string): LogMethod =>
    ({ err, ...fields }, message) => {
      if (process.stdout.writableLength > MAX_WAITING) return;
      const error = err instanceof Error ? { err: err.message } : {};
      say({ level, msg: message, ...fields, ...error });
    };
  return { debug: () => {}, info: at("info"), warn: at("warn"), error: at("error") };
}
