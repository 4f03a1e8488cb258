// The engine for EMQX that is measured: `omp emqx-plugin` in a process of its own, with a data directory of its own.

import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { startChild } from "../test/support/child.ts";
import type { Cleanup } from "./cleanup.ts";
import { ProcessWatch } from "./process-watch.ts";
import type { MeasuredBroker } from "./scenario.ts";

const OMP = resolve(fileURLToPath(import.meta.url), "../../src/cli/omp.ts");
/** As in the first line of omp.ts. */
const NODE_OPTIONS = ["--max-semi-space-size=4", "--heap-growing-percent=100"];
const START_TIMEOUT = 60_000;

/** What both sides have. */
export const LINK_SECRET = "a secret for measuring";

export async function startEngineProcess(
  cleanup: Cleanup,
  dataDirectory: string,
  profiles: string | undefined,
): Promise<MeasuredBroker> {
  const secret = join(dataDirectory, "secret");
  writeFileSync(secret, LINK_SECRET);
  const options = [
    "--listen",
    "127.0.0.1:0",
    "--secret-file",
    secret,
    "--data-dir",
    dataDirectory,
    "--log-level",
    "warn",
  ];
  const profiling = profiles === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profiles}`];
  const args = [...NODE_OPTIONS, ...profiling, OMP, "emqx-plugin", ...options];
  const child = startChild(cleanup, process.execPath, args, { env: process.env });
  const [, port] = await child.output(/^ {2}listens {2}127\.0\.0\.1:(\d+)/m, START_TIMEOUT);
  const watch = new ProcessWatch(child.pid);
  cleanup.after(() => watch.stop());
  return {
    address: { host: "127.0.0.1", port: Number(port) },
    watch,
    async stop(): Promise<void> {
      watch.stop();
      const { code, stderr } = await child.stop("SIGTERM", START_TIMEOUT);
      if (code !== 0) throw new Error(`the engine ended with code ${code}\n${stderr}`);
    },
  };
}
